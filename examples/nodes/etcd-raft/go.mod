module etcd-raft-node

go 1.26

require (
	go.etcd.io/bbolt v1.4.3
	go.etcd.io/raft/v3 v3.7.0
	google.golang.org/protobuf v1.36.11
)

require golang.org/x/sys v0.29.0 // indirect
