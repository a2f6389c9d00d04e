//! Errors of the client libraries (Java, Go, C++, Python), known by the words in a log line or a stack trace.

use super::entry::Entry;

/// The more telling ones first.
pub(super) const TEXTS: &[Entry] = &[
    Entry::client_error("No route info of this topic", "The client asked its name servers, and none of them knows the topic.")
        .causes(&[
            "the topic does not exist and autoCreateTopicEnable is off (in production it should be)",
            "the client talks to another name server than the broker: compare NAMESRV_ADDR with the broker's namesrvAddr",
            "the broker is not registered: it is down, or cannot reach the name server",
            "the client is much older or newer than the broker, or was built with another fastjson",
        ])
        .next(&["rmq topic show TOPIC", "rmq cluster show (is the broker there?)", "rmq topic create TOPIC --queues 8", "rmq doctor (do the name servers agree?)"])
        .marks(&["no route info of this topic", "no route info for this topic", "no topic route info", "topicroutedata is null", "topic route not found", "the topic's queue data is empty", "route info not found"]),
    Entry::client_error("Cannot connect to the advertised address", "The route led to a broker's address that this machine cannot connect to.")
        .causes(&[
            "brokerIP1 is an address inside a container, or of another network card: clients use the address the broker advertises, not the one you configured",
            "a firewall lets 9876 through but not 10911 (and 10909, the VIP channel)",
            "the broker died less than two minutes ago and is still in the route",
        ])
        .next(&["rmq doctor (tries every advertised address from here)", "rmq cluster show", "brokerIP1=REACHABLE_HOST in broker.conf, or rmq serve --advertise HOST"])
        .marks(&["connect to <", "connect to [", "connect failed", "remotingconnectexception", "connection refused", "no route to host", "connect timeout"]),
    Entry::client_error("No name server address", "The client was given no name server.")
        .next(&["export NAMESRV_ADDR=HOST:9876", "producer.setNamesrvAddr(\"HOST:9876\")", "rmq config show --origin"])
        .marks(&["no name server address", "name server address is empty", "nameserver address is empty", "namesrv addr is empty", "no name server available"]),
    Entry::client_error("No name server answers", "None of the name servers could be reached.")
        .causes(&["the name server is down, or the port is wrong (9876)", "a proxy's gRPC port (8081) was given to a remoting client, or the other way round"])
        .next(&["rmq doctor", "rmq serve (starts a name server and a broker)"])
        .marks(&["no name server answers", "connect to null failed", "connect to nameserver", "all name servers", "none of the name servers"]),
    Entry::client_error("RemotingTooMuchRequestException", "The client itself gave up before the request left: the time for the call was used up, or too many requests are under way.")
        .causes(&[
            "\"sendDefaultImpl call timeout\" or \"sendMessage call timeout\": fetching the route or connecting took longer than sendMsgTimeout (3 s); usually an advertised address that cannot be reached",
            "a long pause of the JVM (GC) in the middle of a send",
            "\"invoke too fast\" or \"semaphoreAsync…\": more asynchronous sends than the client allows at once",
        ])
        .next(&["rmq doctor (are the advertised addresses reachable from here?)", "producer.setSendMsgTimeout(10000)", "wait for callbacks before sending more; clientAsyncSemaphoreValue"])
        .marks(&["remotingtoomuchrequestexception", "senddefaultimpl call timeout", "sendmessage call timeout", "invoke too fast", "semaphoreasyncnum", "call timeout"]),
    Entry::client_error("RemotingTimeoutException", "The request left, and no answer came in time. Whether it was carried out is not known: a message may be stored.")
        .causes(&["the broker is overloaded or its disk is slow", "a network that loses packets", "a timeout shorter than syncFlushTimeout or slaveTimeout"])
        .next(&["send again and let consumers drop doubles by key", "rmq msg find --topic TOPIC --key KEY (was it stored?)", "rmq broker show -o wide"])
        .marks(&["remotingtimeoutexception", "wait response on the channel", "request timeout", "did not answer"]),
    Entry::client_error("RemotingSendRequestException", "The connection broke while the request was being written; the client connects anew by itself.")
        .marks(&["remotingsendrequestexception", "send request to <", "broken pipe", "connection reset by peer"]),
    Entry::client_error("The broker does not exist", "The client's route names a broker for which it has no address any more.")
        .causes(&["the broker was stopped or renamed since the route was fetched", "only its slave is left, and this operation needs the master"])
        .next(&["rmq cluster show"])
        .marks(&["master node does not exist", "] not exist", "the broker service address not found", "not found broker", "broker address not found"]),
    Entry::client_error("Producer or consumer not started", "The object is used before start() or after shutdown().")
        .causes(&["start() was never called, or failed and the exception was swallowed", "one producer object per message, shut down too early"])
        .next(&["create one producer per process, start it once, share it"])
        .marks(&["service state not ok", "maybe started once", "is not in running status", "the producer is not started", "producer has been closed", "please start the producer first"]),
    Entry::client_error("Group created twice in one process", "Two producers or consumers of the same group in one process would share one identity.")
        .next(&["give the second one setInstanceName(...) or another group"])
        .marks(&["has been created before, specify another name"]),
    Entry::client_error("Message body too large", "The producer's own limit (maxMessageSize, 4 MiB) stopped it; nothing was sent.")
        .next(&["producer.setMaxMessageSize(...) and maxMessageSize in broker.conf, both", "send a reference instead of the body"])
        .marks(&["the message body size over max value", "message body size over max", "message body size exceeds"]),
    Entry::client_error("Name with characters that are not allowed", "Names of topics and groups consist of letters, digits, - _ % | and have at most 127 (topics) or 255 (groups) characters.")
        .marks(&["contains illegal characters", "is longer than topic max length", "is longer than group max length", "the specified topic is blank", "the specified group is blank", "consumergroup can not equal", "producergroup can not equal"]),
    Entry::client_error("Conflict with a system topic", "The name is one of RocketMQ's own topics; choose another.")
        .marks(&["is conflict with system topic"]),
    Entry::client_error("SQL filter switched off", "The consumer filters by SQL92, and the broker has that switched off.")
        .next(&["enablePropertyFilter=true in broker.conf; at once: rmq broker config set enablePropertyFilter=true"])
        .marks(&["does not support consumer to filter message by sql92", "check client in broker error"]),
    Entry::client_error("The route is empty of readable or writable queues", "The topic is known, but none of its queues has the permission or the broker needed.")
        .causes(&["the topic's perm lacks read or write", "the master is down and slaves serve reads only"])
        .next(&["rmq topic show TOPIC", "rmq broker perm"])
        .marks(&["not matched route info", "message queue list is empty", "select message queue return null"]),
    Entry::client_error("Access denied", "Access control is on, and the client sent no key, an unknown one, or a wrong signature.")
        .causes(&["AclClientRPCHook or credentials are missing", "the clocks differ", "the secret has blanks or quotes around it"])
        .next(&["RMQ_ACCESS_KEY / RMQ_SECRET_KEY for rmq", "rmq acl user ls"])
        .marks(&["authenticationexception", "authorizationexception", "aclexception", "signature is not matched", "check signature failed"]),
    Entry::client_error("Java does not find its classes or its modules", "The server or client was started with another Java than its scripts expect.")
        .causes(&["Java 9 or later with the scripts of RocketMQ 4: -XX:+UseConcMarkSweepGC and -Djava.ext.dirs are gone", "JAVA_HOME points to a JRE of another version"])
        .next(&["RocketMQ 5 with Java 8 or 11 and later", "rmq serve needs no Java"])
        .marks(&["unrecognized vm option", "-djava.ext.dirs", "could not create the java virtual machine", "usecompressedoops"]),
    Entry::client_error("No memory for Java's heap", "Apache's start scripts ask for 8 GB of heap (name server: 4 GB).")
        .next(&["lower -Xms/-Xmx/-Xmn in bin/runbroker.sh and runserver.sh", "rmq serve needs a few megabytes"])
        .marks(&["cannot allocate memory", "insufficient memory for the java runtime", "os::commit_memory"]),
    Entry::client_error("A lock of another process on the store", "Another broker runs on the same store directory.")
        .next(&["ps -ef | grep BrokerStartup", "another storePathRootDir for the second broker"])
        .marks(&["lock failed,mq already started", "mq already started"]),
    Entry::client_error("Messages come back again and again", "The listener returned RECONSUME_LATER or threw; the message goes to %RETRY%GROUP and comes back after 10 s, 30 s, 1 min … up to retryMaxTimes (16), then to %DLQ%GROUP.")
        .next(&["rmq why GROUP", "rmq dlq ls", "rmq trace MSGID"])
        .marks(&["reconsume_later", "consumeconcurrentlystatus", "send message back failed", "%retry%"]),
    Entry::client_error("Client flow control", "The consumer pulls slower on purpose: it has more messages cached than it is allowed, because the listener does not keep up.")
        .causes(&["a listener that is slow or blocked", "one message that hangs: the offset cannot move past it (consumeConcurrentlyMaxSpan 2000)"])
        .next(&["rmq why GROUP", "rmq client stack CLIENT --group GROUP", "more consumeThreadMax, or more members (up to the number of queues)"])
        .marks(&["so do flow control", "the cached message count exceeds the threshold", "the cached message size exceeds the threshold", "the queue's messages, span too long"]),
];
