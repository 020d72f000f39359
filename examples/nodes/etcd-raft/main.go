// A key-value node on etcd-io/raft: etcd-raft-node INDEX NODES DATA PEER-ADDRESS API-ADDRESS PEERS, with peers as
// 2=127.0.0.1:7002,3=... Log, hard state and snapshot are in one bbolt file; the library forwards proposals and reads.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

const snapshotEvery, kept = 500, 100

type server struct {
	raft.Node
	id      uint64
	disk    *bbolt.DB
	storage *raft.MemoryStorage
	peers   map[uint64]chan *raftpb.Message

	sync.Mutex
	values  map[string]string
	applied uint64
	waiting map[string]chan bool   // proposals and reads by their unique names
	reads   map[uint64][]chan bool // reads that wait until this index is applied
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// save makes a state of the library durable, in one transaction, before anything that depends on it is sent.
func (s *server) save(hard *raftpb.HardState, snapshot *raftpb.Snapshot, entries []*raftpb.Entry) {
	err := s.disk.Update(func(tx *bbolt.Tx) error {
		meta, entryLog := tx.Bucket([]byte("meta")), tx.Bucket([]byte("log"))
		if !raft.IsEmptyHardState(hard) {
			meta.Put([]byte("hard"), must(proto.Marshal(hard)))
		}
		if !raft.IsEmptySnap(snapshot) {
			meta.Put([]byte("snapshot"), must(proto.Marshal(snapshot)))
			// A snapshot of the leader's replaces the whole log, one of our own the part before it.
			next, received := number(snapshot.GetMetadata().GetIndex()+1), snapshot.GetMetadata().GetIndex() > s.applied
			for c := entryLog.Cursor(); ; {
				if key, _ := c.First(); key == nil || !received && string(key) >= string(next) {
					break
				}
				c.Delete()
			}
		}
		if len(entries) > 0 { // these replace all that were there from the first of them on
			for c := entryLog.Cursor(); ; {
				if key, _ := c.Seek(number(entries[0].GetIndex())); key == nil {
					break
				}
				c.Delete()
			}
		}
		for _, entry := range entries {
			entryLog.Put(number(entry.GetIndex()), must(proto.Marshal(entry)))
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
}

// load brings back what save wrote; the first start begins with a snapshot that names the members.
func (s *server) load(nodes int) {
	err := s.disk.Update(func(tx *bbolt.Tx) error {
		meta := must(tx.CreateBucketIfNotExists([]byte("meta")))
		entryLog := must(tx.CreateBucketIfNotExists([]byte("log")))
		hard := &raftpb.HardState{Term: new(uint64(1)), Commit: new(uint64(1))}
		snapshot := &raftpb.Snapshot{Data: []byte("{}"), Metadata: &raftpb.SnapshotMetadata{
			Index: new(uint64(1)), Term: new(uint64(1)), ConfState: &raftpb.ConfState{}}}
		for id := range nodes {
			members := snapshot.Metadata.ConfState
			members.Voters = append(members.Voters, uint64(id+1))
		}
		if bytes := meta.Get([]byte("snapshot")); bytes != nil {
			must(0, proto.Unmarshal(bytes, snapshot))
		}
		if bytes := meta.Get([]byte("hard")); bytes != nil {
			must(0, proto.Unmarshal(bytes, hard))
		}
		s.restore(snapshot)
		must(0, s.storage.SetHardState(hard))
		return entryLog.ForEach(func(_, bytes []byte) error {
			entry := &raftpb.Entry{}
			must(0, proto.Unmarshal(bytes, entry))
			return s.storage.Append([]*raftpb.Entry{entry})
		})
	})
	must(0, err)
}

func (s *server) restore(snapshot *raftpb.Snapshot) {
	must(0, s.storage.ApplySnapshot(snapshot))
	s.Lock()
	defer s.Unlock()
	s.values, s.applied = map[string]string{}, snapshot.GetMetadata().GetIndex()
	must(0, json.Unmarshal(snapshot.GetData(), &s.values))
}

// apply executes a command: NAME set K V, NAME cas K FROM TO, NAME add K N, NAME append K V.
func (s *server) apply(entry *raftpb.Entry) {
	s.Lock()
	defer s.Unlock()
	s.applied = entry.GetIndex()
	word, done := strings.Split(string(entry.GetData()), " "), true
	if len(word) > 3 {
		key, old := word[2], s.values[word[2]]
		switch word[1] {
		case "set":
			s.values[key] = word[3]
		case "cas":
			if done = old == word[3]; done {
				s.values[key] = word[4]
			}
		case "add":
			a, _ := strconv.Atoi(old)
			b, _ := strconv.Atoi(word[3])
			s.values[key] = strconv.Itoa(a + b)
		case "append":
			s.values[key] = strings.TrimPrefix(old+","+word[3], ",")
		}
	}
	if answer := s.waiting[word[0]]; answer != nil {
		answer <- done
		delete(s.waiting, word[0])
	}
}

func (s *server) run() {
	for ticks := time.Tick(30 * time.Millisecond); ; {
		select {
		case <-ticks:
			s.Tick()
		case ready := <-s.Ready():
			s.save(ready.HardState, ready.Snapshot, ready.Entries)
			if !raft.IsEmptySnap(ready.Snapshot) {
				s.restore(ready.Snapshot)
			}
			if !raft.IsEmptyHardState(ready.HardState) {
				must(0, s.storage.SetHardState(ready.HardState))
			}
			must(0, s.storage.Append(ready.Entries))
			for _, message := range ready.Messages {
				select {
				case s.peers[message.GetTo()] <- message:
				default:
					s.unreachable(message)
				}
			}
			for _, entry := range ready.CommittedEntries {
				s.apply(entry)
			}
			s.answerReads(ready.ReadStates)
			s.compact()
			s.Advance()
		}
	}
}

// answerReads answers every read whose index has been applied.
func (s *server) answerReads(states []raft.ReadState) {
	s.Lock()
	defer s.Unlock()
	for _, state := range states {
		if answer := s.waiting[string(state.RequestCtx)]; answer != nil {
			s.reads[state.Index] = append(s.reads[state.Index], answer)
			delete(s.waiting, string(state.RequestCtx))
		}
	}
	for index, answers := range s.reads {
		if index <= s.applied {
			for _, answer := range answers {
				answer <- true
			}
			delete(s.reads, index)
		}
	}
}

func (s *server) compact() {
	if last := must(s.storage.Snapshot()).GetMetadata().GetIndex(); s.applied < last+snapshotEvery {
		return
	}
	snapshot := must(s.storage.CreateSnapshot(s.applied, nil, must(json.Marshal(s.values))))
	s.save(nil, snapshot, nil)
	if err := s.storage.Compact(s.applied - kept); err != nil && !errors.Is(err, raft.ErrCompacted) {
		log.Fatal(err)
	}
}

func (s *server) unreachable(message *raftpb.Message) {
	s.ReportUnreachable(message.GetTo())
	if message.GetType() == raftpb.MsgSnap {
		s.ReportSnapshot(message.GetTo(), raft.SnapshotFailure)
	}
}

// send sends the messages to one peer. What cannot be sent is dropped: Raft sends anew what is needed.
func (s *server) send(address string, messages chan *raftpb.Message) {
	var connection net.Conn
	for message := range messages {
		var err error
		if connection == nil {
			if connection, err = net.DialTimeout("tcp", address, time.Second); err != nil {
				s.unreachable(message)
				continue
			}
		}
		bytes := must(proto.Marshal(message))
		connection.SetWriteDeadline(time.Now().Add(time.Second))
		if _, err = connection.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(bytes))), bytes...)); err != nil {
			connection.Close()
			connection = nil
			s.unreachable(message)
		} else if message.GetType() == raftpb.MsgSnap {
			s.ReportSnapshot(message.GetTo(), raft.SnapshotFinish)
		}
	}
}

func (s *server) receive(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil { // too many open files: later there may be fewer
			time.Sleep(50 * time.Millisecond)
			continue
		}
		go func() {
			defer connection.Close()
			for reader, length := bufio.NewReader(connection), make([]byte, 4); ; {
				if _, err := io.ReadFull(reader, length); err != nil {
					return
				}
				bytes, message := make([]byte, binary.BigEndian.Uint32(length)), &raftpb.Message{}
				if _, err := io.ReadFull(reader, bytes); err != nil || proto.Unmarshal(bytes, message) != nil {
					return
				}
				s.Step(context.Background(), message)
			}
		}()
	}
}

// wait starts a proposal or a read under a new name, and returns whether it succeeded.
func (s *server) wait(r *http.Request, start func(ctx context.Context, name string) error) (bool, error) {
	name, answer := strconv.FormatUint(rand.Uint64(), 36), make(chan bool, 1)
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	s.Lock()
	s.waiting[name] = answer
	s.Unlock()
	defer func() {
		s.Lock()
		delete(s.waiting, name)
		s.Unlock()
	}()
	if err := start(ctx, name); err != nil {
		return false, err
	}
	select {
	case done := <-answer:
		return done, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// reply says 421 if the command was certainly not proposed; all else that is not success leaves its outcome open.
func reply(w http.ResponseWriter, err error) {
	status := http.StatusServiceUnavailable
	if errors.Is(err, raft.ErrProposalDropped) {
		status = http.StatusMisdirectedRequest
	}
	http.Error(w, err.Error(), status)
}

func main() {
	index, nodes := must(strconv.Atoi(os.Args[1])), must(strconv.Atoi(os.Args[2]))
	data, address, api, peers := os.Args[3], os.Args[4], os.Args[5], os.Args[6]
	s := &server{id: uint64(index), storage: raft.NewMemoryStorage(), peers: map[uint64]chan *raftpb.Message{},
		waiting: map[string]chan bool{}, reads: map[uint64][]chan bool{}}
	s.disk = must(bbolt.Open(filepath.Join(data, "raft.db"), 0o600, nil))
	s.load(nodes)
	s.Node = raft.RestartNode(&raft.Config{ID: s.id, ElectionTick: 10, HeartbeatTick: 1, Storage: s.storage,
		Applied: s.applied, MaxSizePerMsg: math.MaxUint16, MaxInflightMsgs: 256, CheckQuorum: true, PreVote: true})
	for _, peer := range strings.Split(peers, ",") {
		id, at, _ := strings.Cut(peer, "=")
		messages := make(chan *raftpb.Message, 4096)
		s.peers[must(strconv.ParseUint(id, 10, 64))] = messages
		go s.send(at, messages)
	}
	go s.receive(must(net.Listen("tcp", address)))
	go s.run()

	http.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		status := s.Status()
		fmt.Fprintf(w, `{"leader": %t, "term": %d}`, status.RaftState == raft.StateLeader, status.HardState.GetTerm())
	})
	http.HandleFunc("GET /{key}", func(w http.ResponseWriter, r *http.Request) {
		_, err := s.wait(r, func(ctx context.Context, name string) error { return s.ReadIndex(ctx, []byte(name)) })
		if err != nil {
			reply(w, err)
			return
		}
		s.Lock()
		value, found := s.values[r.PathValue("key")]
		s.Unlock()
		if !found {
			http.NotFound(w, r)
			return
		}
		io.WriteString(w, value)
	})
	http.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		command, err := io.ReadAll(r.Body)
		if err != nil || strings.Count(string(command), " ") < 2 {
			http.Error(w, "a command is like: set KEY VALUE", http.StatusBadRequest)
			return
		}
		done, err := s.wait(r, func(ctx context.Context, name string) error {
			return s.Propose(ctx, []byte(name+" "+string(command)))
		})
		if err != nil {
			reply(w, err)
		} else if !done {
			w.WriteHeader(http.StatusConflict)
		}
	})
	log.Fatal(http.ListenAndServe(api, nil))
}
