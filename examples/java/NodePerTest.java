import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/** A node for one test class: start it in @BeforeAll, close it in @AfterAll. */
public class NodePerTest {

    static final class RmqNode implements AutoCloseable {
        private final Process process;
        final String namesrv;

        RmqNode(String... flags) throws IOException {
            String binary = System.getenv().getOrDefault("RMQ_BIN", "rmq");
            List<String> command = new ArrayList<>(List.of(binary, "serve", "--ephemeral",
                "--port", "0", "--broker-port", "0",
                "--parent-pid", Long.toString(ProcessHandle.current().pid())));
            command.addAll(List.of(flags));
            process = new ProcessBuilder(command)
                .redirectError(ProcessBuilder.Redirect.INHERIT).start();
            BufferedReader out = new BufferedReader(
                new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
            String ready = out.readLine();
            Matcher matcher = Pattern.compile("\"namesrv\":\"([^\"]+)\"").matcher(ready == null ? "" : ready);
            if (!matcher.find()) {
                process.destroyForcibly();
                throw new IOException("the node did not start: " + ready);
            }
            namesrv = matcher.group(1);
        }

        @Override
        public void close() {
            process.destroy();
            try {
                if (!process.waitFor(10, TimeUnit.SECONDS)) {
                    process.destroyForcibly();
                }
            } catch (InterruptedException e) {
                process.destroyForcibly();
                Thread.currentThread().interrupt();
            }
        }
    }

    public static void main(String[] args) throws Exception {
        try (RmqNode node = new RmqNode("--topic", "orders:4")) {
            DefaultMQProducer producer = new DefaultMQProducer("orders-producer");
            producer.setNamesrvAddr(node.namesrv);
            producer.setSendMsgTimeout(15_000); // The first send of a cold JVM on a busy machine takes a while.
            producer.start();
            producer.send(new Message("orders", "paid", "hello".getBytes(StandardCharsets.UTF_8)));

            CountDownLatch arrived = new CountDownLatch(1);
            DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("billing");
            consumer.setNamesrvAddr(node.namesrv);
            consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
            consumer.subscribe("orders", "paid");
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                messages.forEach(m -> System.out.println("got " + new String(m.getBody(), StandardCharsets.UTF_8)));
                arrived.countDown();
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
            consumer.start();
            boolean inTime = arrived.await(30, TimeUnit.SECONDS);
            consumer.shutdown();
            producer.shutdown();
            if (!inTime) {
                throw new AssertionError("the message did not arrive");
            }
        }
        System.exit(0);
    }
}
