// A key-value node on hashicorp/raft: hashicorp-raft-node ID DATA PEER-ADDRESS API-ADDRESS MEMBERS, with members as
// n1=127.0.0.1:7001,n2=... A follower forwards requests to the leader. As in Consul, one port serves both Raft and
// forwarded requests: the first byte of a connection says which.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"github.com/hashicorp/raft-boltdb/v2"
)

// store is the state machine. Commands are text: set K V, cas K FROM TO, add K N, append K V.
type store struct {
	sync.Mutex
	values map[string]string
}

func (s *store) Apply(entry *raft.Log) any {
	s.Lock()
	defer s.Unlock()
	word := strings.Split(string(entry.Data), " ")
	key, old := word[1], s.values[word[1]]
	switch word[0] {
	case "set":
		s.values[key] = word[2]
	case "cas":
		if old != word[2] {
			return false
		}
		s.values[key] = word[3]
	case "add":
		a, _ := strconv.Atoi(old)
		b, _ := strconv.Atoi(word[2])
		s.values[key] = strconv.Itoa(a + b)
	case "append":
		s.values[key] = strings.TrimPrefix(old+","+word[2], ",")
	}
	return true
}

func (s *store) Snapshot() (raft.FSMSnapshot, error) {
	s.Lock()
	defer s.Unlock()
	bytes, err := json.Marshal(s.values)
	return snapshot(bytes), err
}

func (s *store) Restore(from io.ReadCloser) error {
	values := map[string]string{}
	err := json.NewDecoder(from).Decode(&values)
	s.Lock()
	defer s.Unlock()
	s.values = values
	return err
}

type snapshot []byte

func (s snapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(s); err != nil {
		sink.Cancel()
		return err
	}
	return sink.Close()
}

func (s snapshot) Release() {}

// link is one of the two kinds of connections on the peer port: 'R' for Raft, 'H' for forwarded requests.
type link struct {
	kind     byte
	address  net.Addr
	accepted chan net.Conn
}

func (l *link) Accept() (net.Conn, error) { return <-l.accepted, nil }
func (l *link) Close() error              { return nil }
func (l *link) Addr() net.Addr            { return l.address }

func (l *link) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	connection, err := net.DialTimeout("tcp", string(to), timeout)
	if err == nil {
		_, err = connection.Write([]byte{l.kind})
	}
	return connection, err
}

func accept(listener net.Listener, links ...*link) {
	for {
		connection, err := listener.Accept()
		if err != nil { // too many open files: later there may be fewer
			time.Sleep(50 * time.Millisecond)
			continue
		}
		go func() {
			kind := make([]byte, 1)
			if _, err := io.ReadFull(connection, kind); err != nil {
				connection.Close()
			}
			for _, link := range links {
				if link.kind == kind[0] {
					link.accepted <- connection
				}
			}
		}()
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

// reply says 421 if the command was certainly not proposed; all else that is not success leaves its outcome open.
func reply(w http.ResponseWriter, err error) {
	status := http.StatusServiceUnavailable
	if errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrEnqueueTimeout) {
		status = http.StatusMisdirectedRequest
	}
	http.Error(w, err.Error(), status)
}

func main() {
	id, data, address, api, members := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]
	config := raft.DefaultConfig()
	config.LocalID = raft.ServerID(id)
	config.LogLevel = "INFO"
	config.HeartbeatTimeout = 300 * time.Millisecond
	config.ElectionTimeout = 300 * time.Millisecond
	config.LeaderLeaseTimeout = 200 * time.Millisecond
	config.CommitTimeout = 20 * time.Millisecond
	config.SnapshotThreshold, config.TrailingLogs, config.SnapshotInterval = 500, 100, 2*time.Second

	var servers []raft.Server
	var advertised net.Addr
	for _, member := range strings.Split(members, ",") {
		name, at, _ := strings.Cut(member, "=")
		servers = append(servers, raft.Server{ID: raft.ServerID(name), Address: raft.ServerAddress(at)})
		if name == id {
			advertised = must(net.ResolveTCPAddr("tcp", at))
		}
	}
	disk := must(raftboltdb.NewBoltStore(filepath.Join(data, "raft.db")))
	snapshots := must(raft.NewFileSnapshotStore(data, 2, os.Stderr))
	peers := &link{'R', advertised, make(chan net.Conn)}
	forwards := &link{'H', advertised, make(chan net.Conn)}
	go accept(must(net.Listen("tcp", address)), peers, forwards)
	transport := raft.NewNetworkTransport(peers, 3, time.Second, os.Stderr)
	state := &store{values: map[string]string{}}
	node := must(raft.NewRaft(config, state, disk, disk, snapshots, transport))
	if !must(raft.HasExistingState(disk, disk, snapshots)) {
		node.BootstrapCluster(raft.Configuration{Servers: servers})
	}

	leader := http.NewServeMux()
	leader.HandleFunc("GET /{key}", func(w http.ResponseWriter, r *http.Request) {
		// A barrier is an entry of the log: the leader of its term has applied all that was committed before it.
		if err := node.Barrier(time.Second).Error(); err != nil {
			reply(w, err)
			return
		}
		state.Lock()
		value, found := state.values[r.PathValue("key")]
		state.Unlock()
		if !found {
			http.NotFound(w, r)
			return
		}
		io.WriteString(w, value)
	})
	leader.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		command, err := io.ReadAll(r.Body)
		if err != nil || strings.Count(string(command), " ") < 2 {
			http.Error(w, "a command is like: set KEY VALUE", http.StatusBadRequest)
			return
		}
		future := node.Apply(command, time.Second)
		if err := future.Error(); err != nil {
			reply(w, err)
		} else if future.Response() == false {
			w.WriteHeader(http.StatusConflict)
		}
	})
	go http.Serve(forwards, leader)

	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", r.In.Header.Get("Leader") },
		Transport: &http.Transport{DialContext: func(_ context.Context, _, to string) (net.Conn, error) {
			return forwards.Dial(raft.ServerAddress(to), time.Second)
		}},
	}
	http.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"leader": %t, "term": %d}`, node.State() == raft.Leader, node.CurrentTerm())
	})
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		switch at, name := node.LeaderWithID(); name {
		case config.LocalID:
			leader.ServeHTTP(w, r)
		case "":
			reply(w, raft.ErrNotLeader)
		default:
			r.Header.Set("Leader", string(at))
			forward.ServeHTTP(w, r)
		}
	})
	log.Fatal(http.ListenAndServe(api, nil))
}
