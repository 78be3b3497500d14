package notify

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// fifo is how the names of topics and queues end that keep the order of messages. Such a message needs a group, within which the order is kept, and
// an id by which a second one is dropped. Each notice is a group of its own: notices have no order, and no group waits for a message in the works.
const fifo = ".fifo"

// regionInHost finds the region in the host of a queue. Read only.
var regionInHost = regexp.MustCompile(`^sqs(?:-fips)?\.([a-z]+(?:-[a-z]+)+-[0-9]+)\.`)

// topics delivers by the Publish operation of SNS, or of what speaks its API. The message gets its id and its envelope there.
type topics struct {
	target Target
	client *sns.Client
}

// queue delivers to a queue of SQS as SNS does where raw delivery is off: the envelope is the body.
type queue struct {
	target Target
	client *sqs.Client
	signer *Signer
}

func openTopics(t Target) (route, error) {
	c, err := credentials(t)
	if err != nil {
		return nil, err
	}
	endpoint := optional(t.place.endpoint)
	return topics{t, sns.NewFromConfig(c, func(o *sns.Options) {
		if endpoint != nil {
			o.BaseEndpoint = endpoint
		}
	})}.send, nil
}

func openQueue(t Target, signer *Signer) (route, error) {
	c, err := credentials(t)
	if err != nil {
		return nil, err
	}
	endpoint := t.place.queueEndpoint()
	return queue{t, sqs.NewFromConfig(c, func(o *sqs.Options) {
		if endpoint != nil {
			o.BaseEndpoint = endpoint
		}
	}), signer}.send, nil
}

// credentials reads what the AWS SDK keeps outside: credentials and how to get them, proxies, certificates. Retries are ours alone.
func credentials(t Target) (aws.Config, error) {
	options := []func(*config.LoadOptions) error{config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} })}
	if t.place.profile != "" {
		options = append(options, config.WithSharedConfigProfile(t.place.profile))
	}
	c, err := config.LoadDefaultConfig(context.Background(), options...)
	if err != nil {
		return c, fmt.Errorf("the AWS configuration for the target %v cannot be read: %w", t, err)
	}
	return c, nil
}

func (t topics) send(ctx context.Context, n Notice) error {
	in := &sns.PublishInput{TopicArn: &n.Topic, Subject: optional(n.Subject), Message: &n.Message}
	if strings.HasSuffix(n.Topic, fifo) {
		in.MessageGroupId, in.MessageDeduplicationId = &n.ID, &n.ID
	}
	region := cmp.Or(t.target.place.region, regionOf(n.Topic))
	if _, err := t.client.Publish(ctx, in, func(o *sns.Options) { o.Region = region }); err != nil {
		return fmt.Errorf("publish to %s by %s: %w", n.Topic, t.target.where(), err)
	}
	return nil
}

func (q queue) send(ctx context.Context, n Notice) error {
	body, err := q.signer.seal(n)
	if err != nil {
		return err
	}
	p := q.target.place
	in := &sqs.SendMessageInput{QueueUrl: &p.queue, MessageBody: aws.String(string(body))}
	if strings.HasSuffix(p.queue, fifo) {
		in.MessageGroupId, in.MessageDeduplicationId = &n.ID, &n.ID
	}
	region := cmp.Or(p.region, p.queueRegion(), regionOf(n.Topic))
	if _, err := q.client.SendMessage(ctx, in, func(o *sqs.Options) { o.Region = region }); err != nil {
		return fmt.Errorf("send to the queue by %s: %w", q.target.where(), err)
	}
	return nil
}

// queueEndpoint returns where a queue's service is: where the configuration says, else where the queue's URL says. AWS itself is left to the SDK,
// which knows of its FIPS and dual-stack endpoints, and old queues have URLs with hosts of the past.
func (p place) queueEndpoint() *string {
	u, err := url.Parse(p.queue)
	if p.endpoint != "" || err != nil {
		return optional(p.endpoint)
	}
	if host := u.Hostname(); strings.HasSuffix(host, ".amazonaws.com") || strings.HasSuffix(host, ".amazonaws.com.cn") {
		return nil
	}
	return aws.String(u.Scheme + "://" + u.Host)
}

// queueRegion returns the region that the URL of a queue names, nothing if it names none.
func (p place) queueRegion() string {
	u, err := url.Parse(p.queue)
	if err != nil {
		return ""
	}
	if m := regionInHost.FindStringSubmatch(u.Hostname()); m != nil {
		return m[1]
	}
	return ""
}

// optional returns nil for what is empty.
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
