package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// build builds the server.
func build(ctx context.Context, dir string) (string, error) {
	path, err := filepath.Abs(filepath.Join(dir, "moraine"))
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/moraine-archive/moraine/cmd/moraine")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the server: %w\n%s", err, out)
	}
	return path, nil
}

// The key of the server that is measured. It lives for seconds and on the loopback interface only.
const (
	keyID  = "AKIAIOSFODNN7EXAMPLE"
	secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	region = "us-east-1"
)

// server is a server in a process of its own.
type server struct {
	endpoint, health string
	cmd              *exec.Cmd
}

// environ returns nothing of the environment of the tests: what is meant for them, like MORAINE_CLIENTS, is no setting of the server. A bucket, where
// there is one, has the same key.
func environ() []string {
	return []string{"MORAINE_ROOT_ACCESS_KEY_ID=" + keyID, "MORAINE_ROOT_SECRET_ACCESS_KEY=" + secret, "AWS_ACCESS_KEY_ID=" + keyID, "AWS_SECRET_ACCESS_KEY=" + secret}
}

// startServer starts the server on a data directory, with settings besides those that are always given.
func startServer(binary, data string, more ...string) (*server, error) {
	s := new(server)
	args := []string{"serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data", data, "--region", region}
	s.cmd = exec.Command(binary, append(args, more...)...)
	s.cmd.Env = environ()
	log, err := os.Create(data + ".log") // a file, so that logging costs the server what it costs in use
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.cmd.Stderr = log
	greeting, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	if s.endpoint, s.health, err = readEndpoints(greeting); err != nil {
		text, _ := os.ReadFile(log.Name())
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, text), s.stop())
	}
	go io.Copy(io.Discard, greeting) // ends with the process
	return s, nil
}

var endpoints = regexp.MustCompile(`API at (http://\S+)(?s:.*?)curl (http://\S+/health/ready)\n`) // read only

// readEndpoints finds the address of the API, and where readiness is asked for, in what the server prints when it listens.
func readEndpoints(greeting io.Reader) (api, health string, err error) {
	var said strings.Builder
	for r := bufio.NewReader(greeting); ; {
		line, err := r.ReadString('\n')
		said.WriteString(line)
		if m := endpoints.FindStringSubmatch(said.String()); m != nil {
			return m[1], m[2], nil
		}
		if err != nil {
			return "", "", fmt.Errorf("the server did not say where it listens, but %q (%w)", &said, err)
		}
	}
}

// ready waits until the server says that it is ready.
func (s *server) ready() error {
	for range 60_000 {
		if res, err := http.Get(s.health); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		time.Sleep(time.Millisecond)
	}
	return errors.New("the server does not get ready")
}

// stopTime is how long the server has to stop.
const stopTime = 40 * time.Second

// stop stops the server in an orderly way.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the server: %w", err)
	}
	kill := time.AfterFunc(stopTime, func() { s.cmd.Process.Kill() })
	defer kill.Stop()
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("the server did not stop well: %w", err)
	}
	return nil
}

// cpu returns the processor time that the server has used so far, in user and in system mode.
func (s *server) cpu() (time.Duration, error) { return processCPU(s.cmd.Process.Pid) }

func processCPU(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseCPU(string(text))
}

// tick is the unit of times in /proc/PID/stat: USER_HZ is 100 on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// Fields of proc_pid_stat(5).
const (
	parentField         = 4
	userField           = 14
	systemField         = 15
	childrenUserField   = 16 // of children that have ended
	childrenSystemField = 17
)

// parseCPU returns the sum of utime and stime.
func parseCPU(stat string) (time.Duration, error) { return parseTimes(stat, userField, systemField) }

func parseTimes(stat string, fields ...int) (time.Duration, error) {
	numbers, err := parseStat(stat, fields...)
	var ticks int64
	for _, n := range numbers {
		ticks += n
	}
	return time.Duration(ticks) * tick, err
}

// parseStat reads fields of a /proc/PID/stat. The second field is the program's name in parentheses, and may itself have blanks and parentheses.
func parseStat(stat string, which ...int) (numbers []int64, err error) {
	const beforeState = 2
	end := strings.LastIndexByte(stat, ')')
	fields := strings.Fields(stat[end+1:])
	if end < 0 || len(fields) < slices.Max(which)-beforeState {
		return nil, fmt.Errorf("%q is not the text of a /proc/PID/stat", stat)
	}
	for _, field := range which {
		n, err := strconv.ParseInt(fields[field-beforeState-1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("field %d of /proc/PID/stat: %w", field, err)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

// peak returns the largest resident size of the server so far, in bytes.
func (s *server) peak() (int64, error) { return s.memory("VmHWM") }

// resident returns the resident size of the server, in bytes.
func (s *server) resident() (int64, error) { return s.memory("VmRSS") }

// memory reads a figure of proc_pid_status(5).
func (s *server) memory(name string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`(?m)^` + name + `:\s+(\d+) kB$`).FindSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("/proc/PID/status has no %s", name)
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	return n << 10, err
}
