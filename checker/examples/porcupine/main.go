// Checks one history with Porcupine, and prints one line of JSON: answer, processor time of the process, peak of its resident
// memory. The other half of the example `grid`, which makes the histories:
//
//	cd checker/examples/porcupine && go build -o /tmp/porcupine . && cd -
//	cargo run --release -p tribunal-checker --example grid -- --peer /tmp/porcupine
//
// By hand: /tmp/porcupine MODEL FILE [SECONDS [MIB]], FILE holding one finished operation a line, as in
// {"client":0,"f":"write","key":"k","in":1,"out":null,"call":0,"ret":5}; "ret" null where the outcome is unknown. Porcupine
// knows no such operations: they return at the end of time, and their results are not looked at.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/anishathalye/porcupine"
)

type line struct {
	Client int             `json:"client"`
	F      string          `json:"f"`
	Key    json.RawMessage `json:"key"`
	In     json.RawMessage `json:"in"`
	Out    json.RawMessage `json:"out"`
	Call   int64           `json:"call"`
	Ret    *int64          `json:"ret"`
	Fail   bool            `json:"fail"` // it certainly did not happen
}

func read(path string) ([]porcupine.Operation, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var operations []porcupine.Operation
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var l line
		if err := json.Unmarshal(bytes.TrimSpace(lines.Bytes()), &l); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if l.Fail {
			continue
		}
		op := asked{client: l.Client, f: l.F, key: string(l.Key), in: string(l.In)}
		end := int64(math.MaxInt64)
		if l.Ret != nil {
			end, op.known, op.out = *l.Ret, true, string(l.Out)
		} else if op.observes() {
			continue // says nothing, and would only cost time
		}
		op.prepare()
		operations = append(operations, porcupine.Operation{
			ClientId: l.Client, Input: &op, Call: l.Call, Output: &op, Return: end,
		})
	}
	return operations, lines.Err()
}

func cpu() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// MiB, of a line of this process' memory accounts.
func held(field string) float64 {
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		if words := strings.Fields(line); len(words) > 1 && words[0] == field {
			kib, _ := strconv.ParseFloat(words[1], 64)
			return kib / 1024
		}
	}
	return 0
}

func finish(answer string) {
	fmt.Printf("{\"answer\":%q,\"cpu_ms\":%.3f,\"peak_mib\":%.1f}\n", answer, float64(cpu())/1e6, held("VmHWM:"))
	os.Exit(0)
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: porcupine MODEL FILE [SECONDS [MIB]]")
		os.Exit(64)
	}
	model, known := models[os.Args[1]]
	if !known {
		fmt.Fprintf(os.Stderr, "no model is called %s\n", os.Args[1])
		os.Exit(64)
	}
	seconds, mib := 60.0, 6144.0
	if len(os.Args) > 3 {
		seconds, _ = strconv.ParseFloat(os.Args[3], 64)
	}
	if len(os.Args) > 4 {
		mib, _ = strconv.ParseFloat(os.Args[4], 64)
	}
	go func() {
		for range time.Tick(20 * time.Millisecond) {
			if cpu().Seconds() > seconds {
				finish("time")
			}
			if held("VmRSS:") > mib {
				finish("memory")
			}
		}
	}()
	operations, err := read(os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(64)
	}
	if porcupine.CheckOperations(model, operations) {
		finish("legal")
	}
	finish("illegal")
}
