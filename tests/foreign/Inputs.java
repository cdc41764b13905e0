// Inputs make|hold|delete BOOTSTRAP PREFIX [ARG]
//
// Topics for a merge as Apache's own producer leaves them on real Kafka, sorted by the header `n` in what is committed:
//
//   PREFIX-mixed     all codecs; plain records between transactions that overlap, some committed and some aborted (in those the
//                    order runs backwards or `n` is missing); one partition with nothing but aborted records, one empty
//   PREFIX-stamped   the same where the broker stamps the records (LogAppendTime)
//   PREFIX-compacted with the log cleaner's holes: `make` waits until just the records are left that should be, and says how many
//   PREFIX-open      for `hold`
//   PREFIX-output... for merges
//
// Keys and values are null and empty, headers null, empty and repeated. The seed is printed; FOREIGN_SEED sets it.
//
// `hold` leaves a transaction open on PREFIX-open, with plain records behind it, prints its producer's id, and ends it as the
// line that it then reads from stdin says: commit or abort. Each call adds to the topic.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeSet;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class Inputs {
    static final String[] CODECS = {"none", "gzip", "snappy", "lz4", "zstd"};
    static final int PARTITIONS = 8, ONLY_ABORTED = 6, EMPTY = 7;
    static final long CLEANER_PATIENCE_MS = 120_000;
    static final long SEGMENT_MS = 1_000;
    static String bootstrap, prefix;
    static Random random;

    public static void main(String[] args) throws Exception {
        bootstrap = args[1];
        prefix = args[2];
        String asked = System.getenv("FOREIGN_SEED");
        long seed = asked == null ? System.nanoTime() : Long.parseLong(asked);
        random = new Random(seed);
        switch (args[0]) {
            case "make" -> {
                System.out.println("FOREIGN_SEED=" + seed);
                make();
            }
            case "hold" -> hold(Long.parseLong(args[3]));
            case "delete" -> {
                try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
                    admin.deleteTopics(admin.listTopics().names().get().stream().filter(t -> t.startsWith(prefix)).toList()).all().get();
                }
            }
            default -> fail("no such verb: " + args[0]);
        }
    }

    static void make() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            Map<String, String> keep = Map.of("retention.ms", "-1");
            admin.createTopics(List.of(
                topic("mixed", PARTITIONS, keep),
                topic("stamped", PARTITIONS, Map.of("retention.ms", "-1", "message.timestamp.type", "LogAppendTime")),
                // Whatever is superseded goes at the cleaner's next round; tombstones stay.
                topic("compacted", 2, Map.of("cleanup.policy", "compact", "segment.ms", Long.toString(SEGMENT_MS),
                    "min.cleanable.dirty.ratio", "0", "delete.retention.ms", "86400000")),
                topic("open", 2, keep),
                topic("output", 1, keep), topic("output-kept", 1, keep), topic("output-stamped", 1, keep), topic("output-open", 1, keep)
            )).all().get();
        }
        // The cleaner comes every 15 seconds: the others are written meanwhile.
        Writers writers = new Writers();
        List<TreeSet<Long>> left = compacted(writers);
        mixed(writers, prefix + "-mixed", 15);
        mixed(writers, prefix + "-stamped", 5);
        writers.close();
        for (int partition = 0; partition < left.size(); partition++) waitForCleaner(partition, left.get(partition));
    }

    static NewTopic topic(String name, int partitions, Map<String, String> configs) {
        return new NewTopic(prefix + "-" + name, Optional.of(partitions), Optional.empty()).configs(configs);
    }

    // --- producers: for each codec a plain one and two with transactions -------------------------------------------------

    static KafkaProducer<byte[], byte[]> producer(String codec, String transactionalId) {
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "compression.type", codec));
        if (transactionalId != null) {
            config.put("transactional.id", transactionalId);
            config.put("transaction.timeout.ms", 600_000);
        }
        var producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
        if (transactionalId != null) producer.initTransactions();
        return producer;
    }

    static class Writers {
        final List<KafkaProducer<byte[], byte[]>> plain = new ArrayList<>(), one = new ArrayList<>(), other = new ArrayList<>();

        Writers() {
            for (String codec : CODECS) {
                plain.add(producer(codec, null));
                one.add(producer(codec, prefix + "-one-" + codec));
                other.add(producer(codec, prefix + "-other-" + codec));
            }
        }

        void close() {
            for (var kind : List.of(plain, one, other)) kind.forEach(KafkaProducer::close);
        }
    }

    // --- records -----------------------------------------------------------------------------------------------------------

    static byte[] bytes(int length) {
        byte[] out = new byte[length];
        random.nextBytes(out);
        return out;
    }

    static Header header(String name, byte[] value) { return new RecordHeader(name, value); }

    static byte[] text(Object o) { return o.toString().getBytes(StandardCharsets.UTF_8); }

    /** The last header `n` is what the merge orders by; without `n` there is none. */
    static List<Header> headers(Long n) {
        List<Header> headers = new ArrayList<>();
        for (int i = random.nextInt(4); i > 0; i--) {
            headers.add(switch (random.nextInt(6)) {
                case 0 -> header("a", bytes(8));
                case 1 -> header("a", null);
                case 2 -> header("", new byte[0]);
                case 3 -> header("\u00fc", text("\u00fc"));
                case 4 -> header("n", n == null ? null : text("not the last"));
                default -> header("null", null);
            });
        }
        if (n != null) headers.add(header("n", text(n)));
        if (random.nextBoolean()) headers.add(header("a", text("behind")));
        return headers;
    }

    static byte[] anyKey() {
        int kind = random.nextInt(5);
        return kind == 0 ? null : kind == 1 ? new byte[0] : text("key-" + random.nextInt(100));
    }

    static byte[] anyValue() {
        int kind = random.nextInt(100);
        if (kind < 12) return null;
        if (kind < 20) return new byte[0];
        if (kind < 21) return bytes(100_000); // larger than a batch
        byte[] noise = bytes(8), value = new byte[random.nextInt(300)];
        for (int i = 0; i < value.length; i++) value[i] = noise[i % 8];
        return value;
    }

    /** In any order: the merge keeps what it finds. */
    static long anyTime() {
        return random.nextInt(50) == 0 ? 0 : System.currentTimeMillis() - random.nextInt(3_600_000);
    }

    static ProducerRecord<byte[], byte[]> any(String topic, int partition, Long n) {
        return new ProducerRecord<>(topic, partition, anyTime(), anyKey(), anyValue(), headers(n));
    }

    // --- plain records and transactions that overlap -----------------------------------------------------------------------

    static long next = -1000;

    /** To all partitions, with many equal numbers. */
    static void ascending(KafkaProducer<byte[], byte[]> producer, String topic) {
        int length = 1 + random.nextInt(20);
        for (int partition = 0; partition < PARTITIONS; partition++) {
            if (partition == ONLY_ABORTED || partition == EMPTY) continue;
            for (int i = random.nextInt(2); i < length; i++) producer.send(any(topic, partition, next + i / 3));
        }
        producer.flush();
        next += length / 3 + random.nextInt(3);
    }

    /** What must never be seen: backwards, and without a number. */
    static void unordered(KafkaProducer<byte[], byte[]> producer, String topic) {
        for (int partition = 0; partition < PARTITIONS; partition++) {
            if (partition == EMPTY) continue;
            for (int i = 0; i < 10; i++) producer.send(any(topic, partition, i % 4 == 0 ? null : next - 10L * i));
        }
        producer.flush();
    }

    static void mixed(Writers writers, String topic, int rounds) {
        next = -1000;
        for (int round = 0; round < rounds; round++) {
            int codec = round % CODECS.length;
            var plain = writers.plain.get(codec);
            var one = writers.one.get(codec);
            var other = writers.other.get((round + 1) % CODECS.length);
            one.beginTransaction();
            ascending(one, topic);
            ascending(plain, topic);
            other.beginTransaction();
            unordered(other, topic);
            ascending(one, topic);
            ascending(plain, topic);
            // Whose marker comes first is told apart from whose records do.
            if (round % 2 == 0) other.abortTransaction();
            one.commitTransaction();
            ascending(plain, topic);
            if (round % 2 == 1) other.abortTransaction();
            if (round % 3 == 0) continue;
            one.beginTransaction();
            unordered(one, topic);
            one.abortTransaction();
        }
    }

    // --- a log with holes --------------------------------------------------------------------------------------------------

    /** Gives the offsets that the cleaner leaves, for each partition. */
    static List<TreeSet<Long>> compacted(Writers writers) throws Exception {
        String topic = prefix + "-compacted";
        List<TreeSet<Long>> left = new ArrayList<>();
        for (int partition = 0; partition < 2; partition++) {
            Map<String, Long> latest = new HashMap<>();
            long n = 0, began = System.currentTimeMillis(), written = 0;
            int rounds = 12;
            for (int round = 0; round < rounds; round++) {
                // Ahead of the clock, so that markers, which have the clock's time, are not what starts a segment.
                long time = began + round * 10 * SEGMENT_MS;
                int codec = round % CODECS.length;
                boolean transaction = round % 3 != 0, commits = round % 3 == 1;
                var producer = transaction ? writers.one.get(codec) : writers.plain.get(codec);
                if (transaction) producer.beginTransaction();
                List<String> keys = new ArrayList<>();
                List<Future<RecordMetadata>> answers = new ArrayList<>();
                for (int i = 0; i < 60; i++) {
                    String key = "key-" + random.nextInt(80);
                    if (key.equals("key-0")) key = "";
                    n += random.nextInt(2);
                    byte[] value = random.nextInt(5) == 0 ? null : bytes(random.nextInt(50));
                    Long number = transaction && !commits ? Long.valueOf(-n) : Long.valueOf(n);
                    answers.add(producer.send(new ProducerRecord<>(topic, partition, time, text(key), value, headers(number))));
                    keys.add(key);
                }
                producer.flush();
                for (int i = 0; i < keys.size(); i++) {
                    long offset = answers.get(i).get().offset();
                    if (!transaction || commits) latest.put(keys.get(i), offset);
                }
                written += keys.size();
                if (transaction && commits) producer.commitTransaction();
                if (transaction && !commits) producer.abortTransaction();
            }
            // The cleaner leaves the last segment alone: it is this record, whose key was there before.
            var last = new ProducerRecord<>(topic, partition, began + rounds * 10 * SEGMENT_MS, text("key-1"), bytes(3), headers(n));
            long lastOffset = writers.plain.get(0).send(last).get().offset();
            TreeSet<Long> offsets = new TreeSet<>(latest.values());
            offsets.add(lastOffset);
            left.add(offsets);
            System.out.println("compacted " + partition + ": " + (written + 1) + " records written, " + offsets.size() + " should be left");
        }
        return left;
    }

    static void waitForCleaner(int partition, TreeSet<Long> expected) throws Exception {
        long deadline = System.currentTimeMillis() + CLEANER_PATIENCE_MS;
        while (true) {
            TreeSet<Long> found = committed(new TopicPartition(prefix + "-compacted", partition));
            if (found.equals(expected)) {
                System.out.println("compacted " + partition + ": " + found.size() + " records left below offset " + (found.last() + 1));
                return;
            }
            if (System.currentTimeMillis() > deadline) {
                fail("compacted " + partition + ": " + found.size() + " records are there, expected " + expected.size() + ": " + expected
                    + "\nfound: " + found);
            }
            Thread.sleep(500);
        }
    }

    static TreeSet<Long> committed(TopicPartition partition) {
        Map<String, Object> config =
            Map.of("bootstrap.servers", bootstrap, "auto.offset.reset", "none", "isolation.level", "read_committed");
        try (var consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> assigned = List.of(partition);
            consumer.assign(assigned);
            consumer.seekToBeginning(assigned);
            long end = consumer.endOffsets(assigned).get(partition);
            TreeSet<Long> found = new TreeSet<>();
            while (consumer.position(partition) < end) consumer.poll(Duration.ofMillis(500)).forEach(r -> found.add(r.offset()));
            return found;
        }
    }

    // --- a transaction that stays open ---------------------------------------------------------------------------------------

    static void hold(long from) throws Exception {
        String topic = prefix + "-open";
        TopicPartition partition = new TopicPartition(topic, 0);
        try (var one = producer("lz4", prefix + "-open"); var plain = producer("none", null);
            Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            one.beginTransaction();
            for (int i = 0; i < 10; i++) one.send(any(topic, 0, from + i));
            one.flush();
            for (int i = 10; i < 20; i++) {
                plain.send(any(topic, 0, from + i));
                plain.send(any(topic, 1, from + i));
            }
            plain.flush();
            var producers = admin.describeProducers(List.of(partition)).partitionResult(partition).get().activeProducers();
            long id = producers.stream().filter(p -> p.currentTransactionStartOffset().isPresent()).mapToLong(ProducerState::producerId)
                .findFirst().orElseThrow();
            System.out.println("PRODUCER=" + id);
            System.out.flush();
            String how = new BufferedReader(new InputStreamReader(System.in)).readLine();
            if ("commit".equals(how)) one.commitTransaction();
            else one.abortTransaction();
        }
    }

    static void fail(String what) {
        System.err.println(what);
        System.exit(1);
    }
}
