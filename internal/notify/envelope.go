package notify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// timestamp is the form of times in an envelope. Validators sign the text as it is, so it has three digits also at whole seconds.
const timestamp = "2006-01-02T15:04:05.000Z"

// notification is the type of the one kind of message that is sent.
const notification = "Notification"

// envelope is a message as SNS hands it to webhooks and queues. UnsubscribeURL is empty, for there is nothing to unsubscribe from; it is there
// because some receivers refuse an envelope without it (aws-sns-verifier for Python does; the validators of AWS for JavaScript, PHP and Java do not
// look at it). A message without a subject has no member Subject at all, since validators take one that is null or empty for a signed one.
//
// https://docs.aws.amazon.com/sns/latest/dg/http-notification-json.html
type envelope struct {
	Type             string
	MessageID        string `json:"MessageId"`
	TopicArn         string
	Subject          string `json:",omitempty"`
	Message          string
	Timestamp        string
	SignatureVersion string
	Signature        string
	SigningCertURL   string
	UnsubscribeURL   string
}

// seal returns the signed envelope of a notice. It is the same text every time. What is not UTF-8 in a notice is replaced, as JSON would do, but
// before it is signed.
func (s *Signer) seal(n Notice) ([]byte, error) {
	e := envelope{
		Type: notification, MessageID: valid(n.ID), TopicArn: valid(n.Topic), Subject: valid(n.Subject), Message: valid(n.Message),
		Timestamp: n.At.UTC().Format(timestamp), SignatureVersion: signatureVersion, SigningCertURL: s.url,
	}
	var err error
	if e.Signature, err = s.sign(e.canonical()); err != nil {
		return nil, fmt.Errorf("sign message %s: %w", n.ID, err)
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return nil, fmt.Errorf("encode message %s: %w", n.ID, err)
	}
	return bytes.TrimRight(text.Bytes(), "\n"), nil
}

func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// canonical returns what is signed.
//
// https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message-verify-message-signature.html
func (e envelope) canonical() string {
	subject := ""
	if e.Subject != "" {
		subject = "Subject\n" + e.Subject + "\n"
	}
	return "Message\n" + e.Message + "\nMessageId\n" + e.MessageID + "\n" + subject +
		"Timestamp\n" + e.Timestamp + "\nTopicArn\n" + e.TopicArn + "\nType\n" + e.Type + "\n"
}
