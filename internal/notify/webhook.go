package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// answerLimit is how many bytes of an answer an error repeats.
const answerLimit = 200

// webhook delivers to a receiver as SNS delivers to HTTP endpoints.
//
// https://docs.aws.amazon.com/sns/latest/dg/http-notification-json.html
type webhook struct {
	target Target
	signer *Signer
	client *http.Client
}

// webhookClient returns a client that follows no redirects: a message goes where the configuration says, and nowhere else.
func webhookClient() *http.Client {
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (w webhook) send(ctx context.Context, n Notice) error {
	req, err := w.request(ctx, n)
	if err != nil {
		return err
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return fmt.Errorf("POST %s: %w", w.target.where(), withoutURL(err))
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, answerLimit)) // the status says it all; the rest is for people
	if resp.StatusCode/100 == 2 {
		return nil
	}
	return w.refused(resp.StatusCode, answer)
}

func (w webhook) request(ctx context.Context, n Notice) (*http.Request, error) {
	body, err := w.signer.seal(n)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.target.url.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("POST %s: %w", w.target.where(), withoutURL(err))
	}
	req.Header.Set("Content-Type", "text/plain; charset=UTF-8")
	req.Header.Set("User-Agent", "Moraine")
	req.Header.Set("x-amz-sns-message-type", notification)
	req.Header.Set("x-amz-sns-message-id", n.ID)
	req.Header.Set("x-amz-sns-topic-arn", n.Topic)
	return req, nil
}

func (w webhook) refused(status int, answer []byte) error {
	hint := ""
	if status/100 == 3 {
		hint = " (redirects are not followed: the target has to be the final URL)"
	}
	return fmt.Errorf("POST %s: the answer is %d %s%s: %q", w.target.where(), status, http.StatusText(status), hint, answer)
}

// withoutURL returns the cause of a failed request. The error of net/http repeats the URL with its query, which may be a secret.
func withoutURL(err error) error {
	if e := (*url.Error)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}
