package daemon

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// door is how the commands of an administrator reach a running server. It lies in a file that only the owner of the data can read: who has the data may have tasks done.
type door struct {
	Endpoint string `json:"endpoint"` // of the admin address
	Token    string `json:"token"`
}

// openDoor writes the file.
func (d *Daemon) openDoor() error {
	d.token = rand.Text()
	b, err := json.Marshal(door{d.AdminEndpoint(), d.token})
	if err != nil {
		return err
	}
	d.closers = append(d.closers, closedDoor{d.disk, d.config.AdminPath()})
	return d.disk.WriteFile(d.config.AdminPath(), append(b, '\n'))
}

// closedDoor removes the file when it is closed.
type closedDoor struct {
	disk vfs.FS
	path string
}

func (c closedDoor) Close() error { return removeIfThere(c.disk, c.path) }

// runTask answers POST /tasks: the body is a Task, the answer an Event a line, as they happen.
func (d *Daemon) runTask(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if subtle.ConstantTimeCompare([]byte(token), []byte(d.token)) != 1 {
		http.Error(w, "the token in admin.json of the data directory is needed", http.StatusForbidden)
		return
	}
	var t Task
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&t); err != nil {
		http.Error(w, "the body must be a task like {\"name\":\"check\"}", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines, flush := json.NewEncoder(w), http.NewResponseController(w)
	say := func(e Event) error { return errors.Join(lines.Encode(e), flush.Flush()) }
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(d.tasks, cancel)()
	if err := d.maintain(ctx, t, say); err != nil {
		say(Event{Error: err.Error(), NotFound: fault.Is(err, fault.NotFound)}) // who does not listen any more need not know
	}
}

// askServer has the server run a task that runs on the data of a configuration, if there is one.
func askServer(ctx context.Context, c config.Config, t Task, fn func(Event) error) (running bool, err error) {
	b, err := vfs.OS().ReadFile(c.AdminPath())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	var d door
	if err == nil {
		err = json.Unmarshal(b, &d)
	}
	if err != nil {
		return true, fmt.Errorf("read how the server is reached, from %s: %w", c.AdminPath(), err)
	}
	body, err := json.Marshal(t)
	if err != nil {
		return true, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.Endpoint+"/tasks", bytes.NewReader(body))
	if err != nil {
		return true, err
	}
	req.Header.Set("Authorization", "Bearer "+d.Token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		var unreachable *net.OpError
		if ctx.Err() == nil && errors.As(err, &unreachable) && unreachable.Op == "dial" {
			return false, nil // a server that was killed has left the file
		}
		return true, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
		return true, fmt.Errorf("the server at %s refuses the task: %s: %s", d.Endpoint, res.Status, bytes.TrimSpace(text))
	}
	return true, receive(ctx, res.Body, fn)
}

// receive gives the events of a task to fn. One that ends without a result was cut off.
func receive(ctx context.Context, r io.Reader, fn func(Event) error) error {
	for lines := json.NewDecoder(r); ; {
		var e Event
		if err := lines.Decode(&e); err != nil {
			return errors.Join(fmt.Errorf("the server went away while the task ran: %w", err), ctx.Err())
		}
		if e.NotFound {
			return fault.New(fault.NotFound, "%s", e.Error)
		}
		if e.Error != "" {
			return errors.New(e.Error)
		}
		if err := fn(e); err != nil || e.Result != nil {
			return err
		}
	}
}
