import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.record.ControlRecordType;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.MutableRecordBatch;
import org.apache.kafka.common.record.Record;
import org.apache.kafka.common.record.RecordBatch;
import org.apache.kafka.common.requests.AbstractResponse;
import org.apache.kafka.common.requests.FetchRequest;
import org.apache.kafka.common.requests.FetchResponse;
import org.apache.kafka.common.requests.RequestHeader;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.BufferSupplier;

/**
 * Makes the vectors: Apache's own producer writes to a real broker, the batches are fetched as the broker stores them
 * (NAME.batch) and set down as Apache's own reader understands them (NAME.json). Compaction is not waited for: the
 * function the broker's cleaner calls is called here.
 *
 * Arguments: bootstrap server, directory to write into.
 */
public final class Vectors {
    private static final short FETCH_VERSION = 12; // the last one that names topics
    private static final long TIME = 1_700_000_000_000L;
    private static String bootstrap;
    private static Path directory;
    private static Admin admin;

    public static void main(String[] args) throws Exception {
        bootstrap = args[0];
        directory = Path.of(args[1]);
        admin = Admin.create(Map.<String, Object>of("bootstrap.servers", bootstrap));
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            write("codec-" + codec, onTopic("codec-" + codec, Map.of(), topic -> {
                try (KafkaProducer<byte[], byte[]> producer = producer(Map.of("compression.type", codec))) {
                    everything(producer, topic);
                }
            }));
            // Many blocks of a codec's own size, and contents many times larger than what is sent.
            write("large-" + codec, onTopic("large-" + codec, Map.of(), topic -> {
                try (KafkaProducer<byte[], byte[]> producer = producer(Map.of("compression.type", codec))) {
                    int records = codec.equals("none") ? 10 : 300;
                    for (int index = 0; index < records; index++) {
                        producer.send(record(topic, TIME + index, bytes("k" + index), repeated("value " + index % 7, 200)));
                    }
                }
            }));
        }
        for (String codec : List.of("none", "lz4")) {
            Map<String, String> appendTime = Map.of("message.timestamp.type", "LogAppendTime");
            write("append-time-" + codec, onTopic("append-time-" + codec, appendTime, topic -> {
                try (KafkaProducer<byte[], byte[]> producer = producer(Map.of("compression.type", codec))) {
                    for (int index = 0; index < 5; index++) {
                        producer.send(record(topic, TIME - index, bytes("k" + index), bytes("v" + index)));
                    }
                }
            }));
        }
        write("transactions", onTopic("transactions", Map.of(), topic -> {
            String id = "batch-vectors-" + Uuid.randomUuid();
            try (KafkaProducer<byte[], byte[]> producer = producer(Map.of("transactional.id", id))) {
                producer.initTransactions();
                for (boolean commit : new boolean[] {true, false, true}) {
                    producer.beginTransaction();
                    for (int index = 0; index < 3; index++) {
                        producer.send(record(topic, TIME + index, null, bytes((commit ? "committed " : "aborted ") + index)));
                    }
                    producer.flush();
                    if (commit) producer.commitTransaction(); else producer.abortTransaction();
                }
            }
            try (KafkaProducer<byte[], byte[]> producer = producer(Map.of())) {
                producer.send(record(topic, TIME, null, bytes("plain")));
            }
        }));
        for (String codec : List.of("none", "zstd")) {
            ByteBuffer full = onTopic("compacted-" + codec, Map.of(), topic -> {
                try (KafkaProducer<byte[], byte[]> producer = producer(Map.of("compression.type", codec))) {
                    for (int batch = 0; batch < 3; batch++) {
                        for (int index = 0; index < 20; index++) {
                            byte[] value = index % 5 == 2 ? null : bytes("value " + batch + " " + index);
                            producer.send(record(topic, TIME + 1_000 * batch - index, bytes("k" + index), value));
                        }
                        producer.flush();
                    }
                }
            });
            write("compacted-" + codec, compacted(full));
        }
        admin.close();
    }

    /** Nulls, empty bytes, repeated headers, timestamps far apart. */
    private static void everything(KafkaProducer<byte[], byte[]> producer, String topic) {
        producer.send(record(topic, TIME, bytes("key"), bytes("value")));
        producer.send(record(topic, TIME + 1, null, bytes("no key")));
        producer.send(record(topic, TIME + 2, bytes("no value"), null));
        producer.send(record(topic, TIME + 3, null, null));
        producer.send(record(topic, TIME + 4, new byte[0], new byte[0]));
        producer.send(record(topic, 0, bytes("the beginning of time"), null));
        producer.send(record(topic, Long.MAX_VALUE, bytes("the end of time"), null));
        producer.send(record(topic, Long.MAX_VALUE - TIME, new byte[] {0, -1, 127, -128}, repeated("long ", 100)));
        ProducerRecord<byte[], byte[]> headers = record(topic, TIME, bytes("headers"), bytes("many"));
        headers.headers().add("a", bytes("1")).add("a", null).add("b", new byte[0]).add("", bytes("no name"));
        headers.headers().add("a", new byte[] {-1, -2}).add("\u00fcber \u2603", repeated("h", 300));
        producer.send(headers);
        for (int index = 0; index < 100; index++) {
            producer.send(record(topic, TIME + index, null, bytes(Integer.toString(index))));
        }
    }

    /** Keeps every third record of the first batch, nothing of the second, the tombstones of the third. */
    private static ByteBuffer compacted(ByteBuffer full) {
        MemoryRecords records = MemoryRecords.readableRecords(full);
        long second = 20, third = 40;
        ByteBuffer into = ByteBuffer.allocate(full.remaining() + 1_024);
        MemoryRecords.FilterResult result = records.filterTo(new MemoryRecords.RecordFilter(TIME, 86_400_000L) {
            @Override
            protected BatchRetentionResult checkBatchRetention(RecordBatch batch) {
                return new BatchRetentionResult(BatchRetention.RETAIN_EMPTY, false);
            }

            @Override
            protected boolean shouldRetainRecord(RecordBatch batch, Record record) {
                if (record.offset() >= third) return !record.hasValue();
                return record.offset() < second && record.offset() % 3 == 1;
            }
        }, into, BufferSupplier.NO_CACHING);
        return result.outputBuffer().flip();
    }

    private interface Writing {
        void into(String topic) throws Exception;
    }

    /** The bytes of a fresh topic's only partition after something was written into it. */
    private static ByteBuffer onTopic(String name, Map<String, String> configs, Writing writing) throws Exception {
        String topic = "batch-vectors-" + name + "-" + Uuid.randomUuid();
        Map<String, String> all = new HashMap<>(configs);
        // Timestamps far in the future are part of what is tried.
        all.put("message.timestamp.after.max.ms", Long.toString(Long.MAX_VALUE));
        all.put("retention.ms", "-1");
        admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1).configs(all))).all().get(30, TimeUnit.SECONDS);
        try {
            writing.into(topic);
            return fetch(topic);
        } finally {
            admin.deleteTopics(List.of(topic)).all().get(30, TimeUnit.SECONDS);
        }
    }

    /** Raw Fetches from the leader, up to the end of the partition. */
    private static ByteBuffer fetch(String topic) throws Exception {
        Node leader = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().get(0).leader();
        TopicPartition partition = new TopicPartition(topic, 0);
        long end = admin.listOffsets(Map.of(partition, OffsetSpec.latest())).all().get().get(partition).offset();
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        for (long next = 0; next < end; ) {
            ByteBuffer some = fetch(leader, partition, next);
            for (MutableRecordBatch batch : MemoryRecords.readableRecords(some.duplicate()).batches()) {
                next = batch.nextOffset();
            }
            byte[] raw = new byte[some.remaining()];
            some.get(raw);
            all.write(raw);
        }
        return ByteBuffer.wrap(all.toByteArray());
    }

    private static ByteBuffer fetch(Node leader, TopicPartition partition, long from) throws Exception {
        Map<TopicPartition, FetchRequest.PartitionData> wanted = new LinkedHashMap<>();
        wanted.put(partition, new FetchRequest.PartitionData(Uuid.ZERO_UUID, from, 0, 64 << 20, Optional.empty()));
        FetchRequest request = FetchRequest.Builder.forConsumer(FETCH_VERSION, 1_000, 1, wanted)
            .setMaxBytes(64 << 20).build(FETCH_VERSION);
        RequestHeader header = new RequestHeader(ApiKeys.FETCH, FETCH_VERSION, "vectors", 1);
        ByteBuffer bytes = request.serializeWithHeader(header);
        try (Socket socket = new Socket(leader.host(), leader.port())) {
            DataOutputStream out = new DataOutputStream(socket.getOutputStream());
            out.writeInt(bytes.remaining());
            out.write(bytes.array(), bytes.arrayOffset() + bytes.position(), bytes.remaining());
            out.flush();
            DataInputStream in = new DataInputStream(socket.getInputStream());
            byte[] answer = new byte[in.readInt()];
            in.readFully(answer);
            FetchResponse response = (FetchResponse) AbstractResponse.parseResponse(ByteBuffer.wrap(answer), header);
            var data = response.responseData(Map.of(), FETCH_VERSION).get(partition);
            if (data.errorCode() != 0) throw new IllegalStateException("fetch: error " + data.errorCode());
            return ((MemoryRecords) data.records()).buffer();
        }
    }

    private static void write(String name, ByteBuffer buffer) throws Exception {
        byte[] raw = new byte[buffer.remaining()];
        buffer.duplicate().get(raw);
        Files.write(directory.resolve(name + ".batch"), raw);
        StringBuilder json = new StringBuilder("[");
        String between = "\n";
        for (MutableRecordBatch batch : MemoryRecords.readableRecords(ByteBuffer.wrap(raw)).batches()) {
            batch.ensureValid();
            json.append(between).append(batch(batch));
            between = ",\n";
        }
        Files.writeString(directory.resolve(name + ".json"), json.append("\n]\n"));
        System.out.println(name + ": " + raw.length + " bytes");
    }

    private static String batch(MutableRecordBatch batch) {
        StringBuilder json = new StringBuilder("{");
        json.append("\"base_offset\": ").append(batch.baseOffset());
        json.append(", \"last_offset\": ").append(batch.lastOffset());
        json.append(", \"bytes\": ").append(batch.sizeInBytes());
        json.append(", \"codec\": \"").append(batch.compressionType().name).append('"');
        json.append(", \"log_append\": ").append(batch.timestampType().id == 1);
        json.append(", \"max_timestamp\": ").append(batch.maxTimestamp());
        json.append(", \"delete_horizon\": ").append(batch.deleteHorizonMs().isPresent() ? batch.deleteHorizonMs().getAsLong() : null);
        json.append(", \"producer_id\": ").append(batch.producerId());
        json.append(", \"producer_epoch\": ").append(batch.producerEpoch());
        json.append(", \"base_sequence\": ").append(batch.baseSequence());
        json.append(", \"leader_epoch\": ").append(batch.partitionLeaderEpoch());
        json.append(", \"transactional\": ").append(batch.isTransactional());
        json.append(", \"control\": ").append(batch.isControlBatch());
        json.append(", \"records\": [");
        String between = "\n  ";
        for (Record record : batch) {
            json.append(between).append("{\"offset\": ").append(record.offset());
            json.append(", \"timestamp\": ").append(record.timestamp());
            if (batch.isControlBatch()) {
                json.append(", \"marker\": \"").append(ControlRecordType.parse(record.key()).name().toLowerCase()).append('"');
            }
            json.append(", \"key\": ").append(hex(record.hasKey() ? record.key() : null));
            json.append(", \"value\": ").append(hex(record.hasValue() ? record.value() : null));
            json.append(", \"headers\": [");
            String comma = "";
            for (Header header : record.headers()) {
                ByteBuffer value = header.value() == null ? null : ByteBuffer.wrap(header.value());
                json.append(comma).append('[').append(hex(ByteBuffer.wrap(bytes(header.key())))).append(", ");
                json.append(hex(value)).append(']');
                comma = ", ";
            }
            json.append("]}");
            between = ",\n  ";
        }
        return json.append("]}").toString();
    }

    /** Hexadecimal; what is long is told by its length and checksum to keep the files small. */
    private static String hex(ByteBuffer bytes) {
        if (bytes == null) return "null";
        byte[] raw = new byte[bytes.remaining()];
        bytes.duplicate().get(raw);
        if (raw.length > 600) {
            java.util.zip.CRC32C crc = new java.util.zip.CRC32C();
            crc.update(raw);
            return "\"" + raw.length + " bytes, crc32c " + String.format("%08x", crc.getValue()) + "\"";
        }
        return '"' + HexFormat.of().formatHex(raw) + '"';
    }

    private static KafkaProducer<byte[], byte[]> producer(Map<String, String> configs) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put("linger.ms", "500");
        properties.put("batch.size", "1000000");
        properties.putAll(configs);
        return new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private static ProducerRecord<byte[], byte[]> record(String topic, long time, byte[] key, byte[] value) {
        return new ProducerRecord<>(topic, 0, time, key, value);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static byte[] repeated(String text, int times) {
        return bytes(text.repeat(times));
    }
}
