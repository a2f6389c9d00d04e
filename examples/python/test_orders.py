"""A node for one test class. The node's own command line stands in for the client of the code under test."""

import json
import os
import subprocess
import tempfile
import unittest

RMQ = os.environ.get("RMQ_BIN", "rmq")

SEED = """
topics: ["orders:2"]
groups: [billing]
messages:
  - {topic: orders, body: {id: 1}, keys: order-1, tag: paid}
  - {topic: orders, body: {id: 2}, keys: order-2, tag: open}
"""


class RmqNode:
    """A node on free ports. It ends with `stop`, or with this process."""

    def __init__(self, *flags):
        self.process = subprocess.Popen(
            [RMQ, "serve", "--ephemeral", "--port", "0", "--broker-port", "0",
             "--parent-pid", str(os.getpid()), *flags],
            stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the node did not start, exit code {self.process.wait()}")
        self.ready = json.loads(line)
        self.namesrv = self.ready["namesrv"]

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()

    def rmq(self, *args):
        """What a command prints about this node."""
        done = subprocess.run([RMQ, *args, "--namesrv", self.namesrv], check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout


class OrdersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as seed:
            seed.write(SEED)
            seed.flush()
            cls.node = RmqNode("--seed", seed.name)

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()

    def test_the_known_data_is_there(self):
        lines = self.node.rmq("consume", "orders", "--from", "earliest", "--tag", "paid", "-o", "jsonl").splitlines()
        self.assertEqual([json.loads(line)["keys"] for line in lines], ["order-1"])

    def test_a_group_consumes_what_is_sent(self):
        self.node.rmq("send", "orders", '{"id":3}', "--key", "order-3")
        self.node.rmq("consume", "orders", "-g", "billing", "--from", "earliest", "--expect", "3", "--within", "20s")
        self.node.rmq("wait", "--group-idle", "billing", "--timeout", "10s")

    def test_the_rocketmq_package_sends(self):
        try:
            from rocketmq.client import Message, Producer
        except ImportError:
            self.skipTest("the rocketmq package is not installed")
        producer = Producer("orders-producer")
        producer.set_namesrv_addr(self.node.namesrv)
        producer.start()
        message = Message("packages")
        message.set_body("hello")
        producer.send_sync(message)
        producer.shutdown()
        lines = self.node.rmq("consume", "packages", "--from", "earliest", "-o", "jsonl").splitlines()
        self.assertEqual([json.loads(line)["bodyText"] for line in lines], ["hello"])


if __name__ == "__main__":
    unittest.main()
