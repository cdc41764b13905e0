// Foreign create|produce|consume|transact|committed|delete BOOTSTRAP TOPIC COUNT WRITER
//
// Apache's own client, with its defaults (the producer is idempotent), on the records of records.py. Exits non-zero on the first
// difference. `transact` writes them in transactions, `committed` reads what was committed.

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class Foreign {
    static final int PARTITIONS = 6;
    static final long TIMESTAMP_BASE = 1_700_000_000_000L;
    static final String[] CODECS = {"none", "gzip", "snappy", "lz4", "zstd"};
    static final long PATIENCE_MS = 120_000;
    static final int TRANSACTIONS = 20;

    record Rec(byte[] key, byte[] value, List<Header> headers, long timestamp) {
        String difference(ConsumerRecord<byte[], byte[]> found) {
            if (!Arrays.equals(key, found.key())) return "the key differs";
            if (!Arrays.equals(value, found.value())) return "the value differs";
            if (!headers.equals(Arrays.asList(found.headers().toArray()))) return "the headers differ: " + found.headers();
            if (timestamp != found.timestamp()) return "the timestamp is " + found.timestamp() + ", expected " + timestamp;
            return null;
        }
    }

    static long mix(long i) {
        long z = i + 0x9E3779B97F4A7C15L;
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }

    static byte[] repeated(byte[] noise, int length) {
        byte[] out = new byte[length];
        for (int i = 0; i < length; i++) out[i] = noise[i % noise.length];
        return out;
    }

    static Rec rec(long i, String writer) {
        long h = mix(i);
        byte[] noise = ByteBuffer.allocate(8).putLong(h).array();
        byte[] key;
        if (i % 7 == 0) key = null;
        else if (i % 11 == 0) key = new byte[0];
        else key = ("key-" + Long.remainderUnsigned(h, 1000)).getBytes(StandardCharsets.UTF_8);
        byte[] value;
        if (i % 13 == 0 && key != null) value = null;
        else if (i % 5000 == 1) value = repeated(noise, 100_000);
        else value = repeated(noise, (int) Long.remainderUnsigned(h, 201));
        List<Header> headers = switch ((int) (i % 4)) {
            case 0 -> List.of();
            case 1 -> List.of(new RecordHeader("n", noise));
            case 2 -> List.of(new RecordHeader("a", new byte[] {'1'}), new RecordHeader("a", new byte[] {'2'}),
                new RecordHeader("b", writer.equals("kafka-python") ? new byte[0] : null));
            default -> List.of(new RecordHeader("\u00fc", new byte[0]));
        };
        return new Rec(key, value, headers, TIMESTAMP_BASE + i);
    }

    public static void main(String[] args) throws Exception {
        String bootstrap = args[1], topic = args[2];
        long count = Long.parseLong(args[3]);
        switch (args[0]) {
            case "create" -> {
                try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
                    // The records carry old timestamps; the usual retention would remove them under the reader's eyes.
                    var wanted = new NewTopic(topic, Optional.of(PARTITIONS), Optional.empty()).configs(Map.of("retention.ms", "-1"));
                    admin.createTopics(List.of(wanted)).all().get();
                }
            }
            case "delete" -> {
                try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
                    admin.deleteTopics(List.of(topic)).all().get();
                }
            }
            case "produce" -> produce(bootstrap, topic, count);
            case "transact" -> transact(bootstrap, topic, count);
            case "committed" -> readCommitted(bootstrap, topic, count);
            case "consume" -> consume(bootstrap, topic, count, args[4]);
            default -> fail("no such verb: " + args[0]);
        }
    }

    static void produce(String bootstrap, String topic, long count) throws Exception {
        long block = (count + CODECS.length - 1) / CODECS.length;
        for (int c = 0; c < CODECS.length; c++) {
            Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "compression.type", CODECS[c]);
            try (var producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
                List<Future<RecordMetadata>> answers = new ArrayList<>();
                long first = c * block, end = Math.min(first + block, count);
                for (long i = first; i < end; i++) {
                    Rec r = rec(i, "java");
                    answers.add(producer.send(
                        new ProducerRecord<>(topic, (int) (i % PARTITIONS), r.timestamp, r.key, r.value, r.headers)));
                }
                producer.flush();
                for (long i = first; i < end; i++) {
                    long offset = answers.get((int) (i - first)).get().offset();
                    if (offset != i / PARTITIONS) fail("record " + i + " was acknowledged at offset " + offset);
                }
            }
        }
    }

    static KafkaProducer<byte[], byte[]> transactional(String bootstrap, String id) {
        Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "transactional.id", id, "compression.type", "lz4");
        var producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
        producer.initTransactions();
        return producer;
    }

    static void send(KafkaProducer<byte[], byte[]> producer, String topic, long from, long to) {
        for (long i = from; i < to; i++) {
            Rec r = rec(i, "java");
            producer.send(new ProducerRecord<>(topic, (int) (i % PARTITIONS), r.timestamp, r.key, r.value, r.headers));
        }
    }

    /** Tells how far the group named like the topic has read, as a part of the open transaction. */
    static void progress(KafkaProducer<byte[], byte[]> producer, String topic, ConsumerGroupMetadata group, long offset) {
        var upto = Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(offset, "upto " + offset));
        producer.sendOffsetsToTransaction(upto, group);
    }

    /** A group that nobody has joined. */
    static ConsumerGroupMetadata group(String bootstrap, String name) {
        Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "group.id", name);
        try (var consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            return consumer.groupMetadata();
        }
    }

    static void transact(String bootstrap, String topic, long count) throws Exception {
        long block = count / TRANSACTIONS;
        var group = group(bootstrap, topic);
        var first = transactional(bootstrap, topic);
        for (int t = 0; t < TRANSACTIONS - 1; t++) {
            // An attempt that is taken back, then one that stands.
            first.beginTransaction();
            send(first, topic, t * block, t * block + block / 2);
            progress(first, topic, group, -1 - t + count);
            first.abortTransaction();
            first.beginTransaction();
            send(first, topic, t * block, (t + 1) * block);
            progress(first, topic, group, (t + 1) * block);
            first.commitTransaction();
        }
        // A rival takes the id in the middle of the last one, and makes it himself.
        long last = (TRANSACTIONS - 1) * block;
        first.beginTransaction();
        send(first, topic, last, last + block / 2);
        first.flush();
        try (var rival = transactional(bootstrap, topic)) {
            try {
                first.commitTransaction();
                fail("who was fenced has committed");
            } catch (ProducerFencedException expected) {
                first.close(Duration.ZERO);
            }
            rival.beginTransaction();
            send(rival, topic, last, count);
            progress(rival, topic, group, count);
            rival.commitTransaction();
        }
    }

    static void readCommitted(String bootstrap, String topic, long count) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            var known = admin.describeTransactions(List.of(topic)).description(topic).get();
            if (!known.state().toString().matches("CompleteCommit|PrepareCommit")) fail("the id's state is " + known);
            boolean isListed = admin.listTransactions().all().get().stream().anyMatch(l -> l.transactionalId().equals(topic));
            if (!isListed) fail("the id is not listed");
            var upto = admin.listConsumerGroupOffsets(topic).partitionsToOffsetAndMetadata().get();
            var expected = Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(count, "upto " + count));
            long deadline = System.currentTimeMillis() + PATIENCE_MS;
            while (!upto.equals(expected)) {
                if (System.currentTimeMillis() > deadline) fail("the group's offsets are " + upto);
                upto = admin.listConsumerGroupOffsets(topic).partitionsToOffsetAndMetadata().get();
            }
        } catch (ExecutionException error) {
            fail("the administration failed: " + error.getCause());
        }
        Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "isolation.level", "read_committed");
        try (var consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> assigned = new ArrayList<>();
            for (int p = 0; p < PARTITIONS; p++) assigned.add(new TopicPartition(topic, p));
            consumer.assign(assigned);
            consumer.seekToBeginning(assigned);
            long[] following = new long[PARTITIONS];
            for (int p = 0; p < PARTITIONS; p++) following[p] = p;
            long read = 0, deadline = System.currentTimeMillis() + PATIENCE_MS;
            while (read < count) {
                if (System.currentTimeMillis() > deadline) fail("read " + read + " of " + count + " committed records in time");
                for (var found : consumer.poll(Duration.ofSeconds(1))) {
                    int p = found.partition();
                    String difference = rec(following[p], "java").difference(found);
                    if (difference != null) fail(found.topic() + " " + p + ", offset " + found.offset() + ": " + difference);
                    following[p] += PARTITIONS;
                    read++;
                }
            }
            for (var end : consumer.endOffsets(assigned).entrySet()) {
                while (consumer.position(end.getKey()) < end.getValue()) {
                    if (System.currentTimeMillis() > deadline) fail(end.getKey() + " was not read to its end");
                    if (!consumer.poll(Duration.ofSeconds(1)).isEmpty()) fail("there is more than was committed");
                }
            }
        }
    }

    static void consume(String bootstrap, String topic, long count, String writer) {
        Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "auto.offset.reset", "none");
        try (var consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> assigned = new ArrayList<>();
            for (int p = 0; p < PARTITIONS; p++) assigned.add(new TopicPartition(topic, p));
            consumer.assign(assigned);
            consumer.seekToBeginning(assigned);
            Map<TopicPartition, Long> ends = consumer.endOffsets(assigned);
            for (TopicPartition tp : assigned) {
                long expected = (count - tp.partition() + PARTITIONS - 1) / PARTITIONS;
                if (ends.get(tp) != expected) fail(tp + " ends at " + ends.get(tp) + ", expected " + expected);
            }
            long[] following = new long[PARTITIONS];
            long read = 0, deadline = System.currentTimeMillis() + PATIENCE_MS;
            while (read < count) {
                if (System.currentTimeMillis() > deadline) fail("read " + read + " of " + count + " records in time");
                for (var found : consumer.poll(Duration.ofSeconds(1))) {
                    int p = found.partition();
                    if (found.offset() != following[p]++) fail("partition " + p + ": offset " + found.offset() + " came out of turn");
                    String difference = rec(found.offset() * PARTITIONS + p, writer).difference(found);
                    if (difference != null) fail("partition " + p + ", offset " + found.offset() + ": " + difference);
                    read++;
                }
            }
        }
    }

    static void fail(String what) {
        System.err.println(what);
        System.exit(1);
    }
}
