import java.nio.charset.StandardCharsets;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.impl.factory.MQClientInstance;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Reads every message of a topic, or sends some, with the official Java client. */
public final class Takeover {
    public static void main(String[] args) {
        try {
            if (args[0].equals("read")) {
                read(args[1], args[2]);
            } else if (args[0].equals("decide")) {
                decide(args[1], args[2], args[3], Integer.parseInt(args[4]));
            } else {
                send(args[1], args[2], Integer.parseInt(args[3]));
            }
            System.exit(0);
        } catch (Throwable failure) {
            failure.printStackTrace();
            // The client's threads would keep the process alive.
            System.exit(1);
        }
    }

    /** The queues of a topic, which a broker that has just started may not have told the name server of yet. */
    private static Set<MessageQueue> queues(DefaultMQPullConsumer consumer, String topic) throws Exception {
        long deadline = System.nanoTime() + 60_000_000_000L;
        while (true) {
            try {
                return consumer.fetchSubscribeMessageQueues(topic);
            } catch (MQClientException unknown) {
                if (System.nanoTime() > deadline) {
                    throw unknown;
                }
                Thread.sleep(100);
            }
        }
    }

    /** One line a message: queue, offset, length of the body, its first 40 bytes as text. */
    private static void read(String nameServer, String topic) throws Exception {
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer("takeover-readers");
        consumer.setNamesrvAddr(nameServer);
        consumer.start();
        Set<MessageQueue> queues = queues(consumer, topic);
        for (MessageQueue queue : queues) {
            long offset = consumer.minOffset(queue);
            long end = consumer.maxOffset(queue);
            while (offset < end) {
                PullResult result = consumer.pull(queue, "*", offset, 32);
                if (result.getMsgFoundList() != null) {
                    for (MessageExt message : result.getMsgFoundList()) {
                        byte[] body = message.getBody();
                        String head = new String(body, 0, Math.min(40, body.length), StandardCharsets.UTF_8);
                        System.out.println("MESSAGE " + queue.getQueueId() + " " + message.getQueueOffset() + " "
                            + body.length + " " + head);
                    }
                }
                if (result.getNextBeginOffset() <= offset) {
                    throw new IllegalStateException("no progress at " + queue + " @" + offset + ": " + result);
                }
                offset = result.getNextBeginOffset();
            }
        }
        consumer.shutdown();
    }

    /** Answers the broker's questions until it has asked about so many messages: those with "commit" in them are committed. */
    private static void decide(String nameServer, String topic, String group, int count) throws Exception {
        Set<String> decided = ConcurrentHashMap.newKeySet();
        TransactionMQProducer producer = new TransactionMQProducer(group);
        producer.setNamesrvAddr(nameServer);
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                return LocalTransactionState.UNKNOW;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                String body = new String(message.getBody(), StandardCharsets.UTF_8);
                if (decided.add(body)) {
                    System.out.println("CHECKED " + body);
                }
                return body.contains("commit") ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE;
            }
        });
        producer.start();
        // The broker can ask only whom it has heard of.
        MQClientInstance client = producer.getDefaultMQProducerImpl().getMqClientFactory();
        client.updateTopicRouteInfoFromNameServer(topic);
        client.sendHeartbeatToAllBrokerWithLock();
        long deadline = System.currentTimeMillis() + 90_000;
        while (decided.size() < count && System.currentTimeMillis() < deadline) {
            Thread.sleep(100);
        }
        // The last answers are on their way; what is asked more than once would show here.
        Thread.sleep(5_000);
        producer.shutdown();
    }

    private static void send(String nameServer, String topic, int count) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("takeover-writers");
        producer.setNamesrvAddr(nameServer);
        producer.start();
        for (int i = 0; i < count; i++) {
            byte[] body = ("from-java-" + i).getBytes(StandardCharsets.UTF_8);
            if (producer.send(new Message(topic, "TagJ", "java-" + i, body)).getSendStatus() != SendStatus.SEND_OK) {
                throw new IllegalStateException("message " + i + " was not stored");
            }
        }
        producer.shutdown();
    }
}
