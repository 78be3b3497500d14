package moraintest

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// manyNodes in the environment is how many nodes a server on shared engines is, behind one endpoint.
const manyNodes = "MORAINE_TEST_NODES"

func nodesOfServer(t testing.TB) int {
	text := os.Getenv(manyNodes)
	if text == "" || !OnSharedEngines() {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, which is no number of nodes", manyNodes, text)
	}
	return n
}

// join starts further nodes, and puts a balancer before all of them.
func (s *Server) join(t testing.TB, nodes int) {
	t.Helper()
	if nodes == 1 {
		return
	}
	for range nodes - 1 {
		c := s.config
		c.Data, c.SecretKey = t.TempDir(), s.config.SecretKeyPath()
		other := &Server{config: c}
		other.start(t)
		s.others = append(s.others, other)
	}
	s.balance(t)
}

// all returns the servers of a cluster.
func (s *Server) all() []*Server { return append([]*Server{s}, s.others...) }

// balance has s.Endpoint lead to the nodes in turn, one connection each, and s.AdminEndpoint to all of them: every node has a clock that can be set.
func (s *Server) balance(t testing.TB) {
	t.Helper()
	var addresses, admins []string
	for _, n := range s.all() {
		addresses, admins = append(addresses, n.daemon.Endpoint()[len("http://"):]), append(admins, n.daemon.AdminEndpoint())
	}
	s.Endpoint = "http://" + RoundRobin(t, addresses...)
	s.AdminEndpoint = everywhere(t, admins)
}

// RoundRobin listens, and leads connections to addresses in turn; past those that do not answer. It returns its own address.
func RoundRobin(t testing.TB, addresses ...string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	var conns sync.Map
	t.Cleanup(func() {
		l.Close()
		conns.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
		open.Wait()
	})
	var turn atomic.Int64
	open.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			conns.Store(in, true)
			open.Go(func() {
				defer conns.Delete(in)
				defer in.Close()
				for range addresses {
					out, err := net.Dial("tcp", addresses[int(turn.Add(1))%len(addresses)])
					if err == nil {
						join(in.(*net.TCPConn), out.(*net.TCPConn))
						return
					}
				}
			})
		}
	})
	return l.Addr().String()
}

// join passes everything on, in both directions, until both ends have closed theirs.
func join(a, b *net.TCPConn) {
	defer b.Close()
	var both sync.WaitGroup
	pass := func(to, from *net.TCPConn) {
		if _, err := io.Copy(to, from); err != nil { // one end is broken: so is the other
			from.Close()
			to.Close()
		}
		to.CloseWrite()
	}
	both.Go(func() { pass(b, a) })
	both.Go(func() { pass(a, b) })
	both.Wait()
}

// everywhere returns an endpoint that sends a request to all others, and gives the answer of the first.
func everywhere(t testing.TB, endpoints []string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		for i, endpoint := range endpoints {
			res, err := forward(r, endpoint, body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			if i == 0 {
				w.WriteHeader(res.StatusCode)
				io.Copy(w, res.Body)
			}
			res.Body.Close()
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func forward(r *http.Request, endpoint string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(r.Context(), r.Method, endpoint+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = r.Header.Clone()
	return http.DefaultClient.Do(req)
}
