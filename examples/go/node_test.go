package orders

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// nameServer is that of the node all tests of this package share.
var nameServer string

func TestMain(m *testing.M) {
	stop, err := startNode("--topic", "orders:4")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	stop()
	os.Exit(code)
}

// startNode starts a node on free ports. It ends with stop, or with this process.
func startNode(flags ...string) (stop func(), err error) {
	binary := os.Getenv("RMQ_BIN")
	if binary == "" {
		binary = "rmq"
	}
	args := append([]string{"serve", "--ephemeral", "--port", "0", "--broker-port", "0",
		"--parent-pid", strconv.Itoa(os.Getpid())}, flags...)
	node := exec.Command(binary, args...)
	node.Stderr = os.Stderr
	out, err := node.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := node.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = node.Process.Signal(syscall.SIGTERM)
		_ = node.Wait()
	}
	var ready struct{ Namesrv string }
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &ready)
	}
	if err != nil {
		stop()
		return nil, fmt.Errorf("the node did not start: %w", err)
	}
	nameServer = ready.Namesrv
	return stop, nil
}

func TestAMessageArrives(t *testing.T) {
	p, err := rocketmq.NewProducer(producer.WithNameServer([]string{nameServer}),
		producer.WithGroupName("orders-producer"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	defer p.Shutdown()
	if _, err := p.SendSync(context.Background(), primitive.NewMessage("orders", []byte("hello"))); err != nil {
		t.Fatal(err)
	}

	c, err := rocketmq.NewPushConsumer(consumer.WithNameServer([]string{nameServer}),
		consumer.WithGroupName("billing"), consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	if err != nil {
		t.Fatal(err)
	}
	arrived := make(chan string, 16)
	err = c.Subscribe("orders", consumer.MessageSelector{},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, message := range messages {
				arrived <- string(message.Body)
			}
			return consumer.ConsumeSuccess, nil
		})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Shutdown()
	select {
	case body := <-arrived:
		if body != "hello" {
			t.Fatalf("got %q", body)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the message did not arrive")
	}
}
