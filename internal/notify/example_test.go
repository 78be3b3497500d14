package notify_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/moraine-archive/moraine/internal/notify"
)

// A webhook gets what Amazon SNS would send it.
func ExampleSender() {
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var envelope struct{ TopicArn, Message string }
		if err := json.NewDecoder(r.Body).Decode(&envelope); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Println(r.Header.Get("x-amz-sns-message-type"), envelope.TopicArn, envelope.Message)
	}))
	defer hook.Close()

	text, err := notify.GenerateSigner(time.Now())
	if err != nil {
		fmt.Println(err)
		return
	}
	signer, err := notify.LoadSigner(text, "https://archive.example.com/notifications.pem")
	if err != nil {
		fmt.Println(err)
		return
	}
	targets, err := notify.ParseTargets([]string{"arn:aws:sns:us-east-1:123456789012:restores=" + hook.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	sender, err := notify.New(notify.Config{Targets: targets, Signer: signer})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = sender.Send(context.Background(), notify.Notice{
		ID: "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", Topic: "arn:aws:sns:us-east-1:123456789012:restores",
		Message: `{"JobId":"example","Completed":true}`, At: time.Now(),
	})
	fmt.Println(err)
	// Output:
	// Notification arn:aws:sns:us-east-1:123456789012:restores {"JobId":"example","Completed":true}
	// <nil>
}
