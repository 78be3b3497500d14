package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"

	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/notify"
	"github.com/moraine-archive/moraine/internal/vault"
)

// certificatePath is where receivers find the certificate of the key that messages are signed with, on the admin address.
const certificatePath = "/notifications/certificate.pem"

// newSender returns what delivers messages. The key to sign them with is made when the first target needs it.
func (d *Daemon) newSender() (*notify.Sender, error) {
	targets, err := notify.ParseTargets(d.config.Targets())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", notifySetting, err)
	}
	if len(targets) > 0 {
		if d.signer, err = d.loadSigner(); err != nil {
			return nil, err
		}
	}
	return notify.New(notify.Config{Targets: targets, Signer: d.signer, Setting: notifySetting})
}

const notifySetting = "notify-target"

func (d *Daemon) loadSigner() (*notify.Signer, error) {
	path := d.config.NotifyKeyPath()
	b, err := d.disk.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if b, err = notify.GenerateSigner(d.times.Now()); err == nil {
			err = d.disk.WriteFile(path, b)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the key that messages are signed with: %w", err)
	}
	s, err := notify.LoadSigner(b, cmp.Or(d.config.NotifyCertURL, d.AdminEndpoint()+certificatePath))
	if err != nil {
		return nil, fmt.Errorf("the key that messages are signed with, %s, cannot be used: %w", path, err)
	}
	return s, nil
}

// showCertificate answers with the certificate of the key that messages are signed with.
func (d *Daemon) showCertificate(w http.ResponseWriter, _ *http.Request) {
	if d.signer == nil {
		http.Error(w, "no message is signed: no target is configured", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/x-pem-file")
	w.Write(d.signer.Certificate())
}

// checkSigner reports whether the key that messages are signed with can be used. There may be none.
func (s *stores) checkSigner() error {
	b, err := s.disk.ReadFile(s.config.NotifyKeyPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		_, err = notify.LoadSigner(b, "http://localhost"+certificatePath)
	}
	return err
}

// notices lists the messages that were not delivered.
func (s *stores) notices(ctx context.Context, _ Task, fn func(Event) error) (Result, error) {
	var n int64
	err := s.service.Notices(ctx, func(m vault.Notice) error {
		n++
		return fn(Event{Notice: &m})
	})
	return Result{Notices: &n}, err
}

// retryNotices has messages delivered that were given up, or one that waits.
func (s *stores) retryNotices(ctx context.Context, t Task, _ func(Event) error) (Result, error) {
	n, err := s.service.RetryNotices(ctx, t.ID)
	if errors.Is(err, vault.ErrNoNotice) {
		err = fault.Wrap(fault.NotFound, err, "not found")
	}
	return Result{Notices: &n}, err
}
