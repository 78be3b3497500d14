// Package notifytest is the other end of notifications, for tests: a webhook that keeps what it gets, SNS and SQS as moto speaks them, and a reader of
// envelopes that shares nothing with the code under test.
package notifytest

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Isolate gives the AWS SDK credentials, and nothing else of this machine.
func Isolate(t testing.TB) {
	t.Helper()
	absent := filepath.Join(t.TempDir(), "absent")
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "",
		"AWS_ENDPOINT_URL": "", "AWS_CONFIG_FILE": absent, "AWS_SHARED_CREDENTIALS_FILE": absent, "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "2",
	} {
		t.Setenv(name, value)
	}
}

// Region is that of the cloud's topics and queues.
const Region = "eu-west-1"

// Cloud is moto, which speaks the APIs of SNS and SQS, and clients for it.
type Cloud struct {
	Endpoint string

	topics *sns.Client
	queues *sqs.Client
}

// StartCloud starts moto until the test ends. The test is skipped if there is none.
func StartCloud(t testing.TB) *Cloud {
	t.Helper()
	program, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skipf("this needs moto (pip install 'moto[server]'): %v", err)
	}
	Isolate(t)
	host, port, err := net.SplitHostPort(freeAddress(t))
	noError(t, err)
	var said bytes.Buffer
	cmd := exec.Command(program, "-H", host, "-p", port)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	noError(t, cmd.Start())
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("moto said at last: %s", said.Bytes()[max(0, said.Len()-2000):])
		}
	})
	endpoint := "http://" + net.JoinHostPort(host, port)
	awaitCloud(t, endpoint, ended, &said)
	c, err := config.LoadDefaultConfig(t.Context(), config.WithRegion(Region), config.WithRetryMaxAttempts(1), config.WithBaseEndpoint(endpoint))
	noError(t, err)
	return &Cloud{endpoint, sns.NewFromConfig(c), sqs.NewFromConfig(c)}
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	noError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func awaitCloud(t testing.TB, endpoint string, ended <-chan struct{}, said *bytes.Buffer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/moto-api/", nil)
		noError(t, err)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("moto has ended: %s", said)
		case <-ctx.Done():
			t.Fatal("moto does not answer")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Topic makes a topic, and a queue that is subscribed to it.
func (c *Cloud) Topic(t testing.TB, name string) (arn, queue string) {
	t.Helper()
	attributes := map[string]string{}
	if strings.HasSuffix(name, ".fifo") {
		attributes["FifoTopic"] = "true"
	}
	made, err := c.topics.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: &name, Attributes: attributes})
	noError(t, err)
	queue = c.Queue(t, name)
	of, err := c.queues.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &queue, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameQueueArn}})
	noError(t, err)
	_, err = c.topics.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: made.TopicArn, Protocol: aws.String("sqs"), Endpoint: aws.String(of.Attributes["QueueArn"])})
	noError(t, err)
	return *made.TopicArn, queue
}

// Queue makes a queue and returns its URL.
func (c *Cloud) Queue(t testing.TB, name string) string {
	t.Helper()
	attributes := map[string]string{}
	if strings.HasSuffix(name, ".fifo") {
		attributes["FifoQueue"] = "true"
	}
	made, err := c.queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	noError(t, err)
	return *made.QueueUrl
}

// Take returns the bodies of up to ten messages in a queue, which are then not in it any more.
func (c *Cloud) Take(t testing.TB, queue string) [][]byte {
	t.Helper()
	got, err := c.queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &queue, MaxNumberOfMessages: 10})
	noError(t, err)
	var bodies [][]byte
	for _, m := range got.Messages {
		bodies = append(bodies, []byte(*m.Body))
		_, err := c.queues.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &queue, ReceiptHandle: m.ReceiptHandle})
		noError(t, err)
	}
	return bodies
}
