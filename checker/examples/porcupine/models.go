package main

import (
	"encoding/json"
	"sort"
	"strconv"
	"strings"

	"github.com/anishathalye/porcupine"
)

// An operation with its result. Values are the JSON text that stood in the history; states are strings wherever that is
// possible, which Porcupine compares fastest.
type asked struct {
	client       int
	f            string
	key, in, out string
	known        bool // whether the result is known
	from, to     string
	parts        []string // of a list that was given or returned
	accesses     [][3]string
}

const null = "null"

func (op *asked) observes() bool {
	return op.f == "read" || op.f == "get" || op.f == "contains"
}

func (op *asked) prepare() {
	if op.in == "" {
		op.in = null
	}
	if op.out == "" {
		op.out = null
	}
	var list []json.RawMessage
	switch op.f {
	case "cas":
		if json.Unmarshal([]byte(op.in), &list) == nil && len(list) == 2 {
			op.from, op.to = string(list[0]), string(list[1])
		}
	case "txn":
		text := op.in
		if op.known && op.out != null {
			text = op.out
		}
		var accesses [][3]json.RawMessage
		_ = json.Unmarshal([]byte(text), &accesses)
		for _, a := range accesses {
			op.accesses = append(op.accesses, [3]string{string(a[0]), string(a[1]), string(a[2])})
		}
	case "put", "append", "get":
		var text string
		if json.Unmarshal([]byte(op.in), &text) == nil {
			op.in = text
		}
		if json.Unmarshal([]byte(op.out), &text) == nil && op.f == "get" {
			op.out = text
		}
	case "read":
		if json.Unmarshal([]byte(op.out), &list) == nil && strings.HasPrefix(op.out, "[") {
			for _, item := range list {
				op.parts = append(op.parts, string(item))
			}
			op.out = joined(op.parts)
		}
	}
}

func joined(items []string) string {
	if len(items) == 0 {
		return ""
	}
	return strings.Join(items, ",") + ","
}

func (op *asked) answers(value string) bool { return !op.known || op.out == value }
func (op *asked) refused() bool             { return op.known && op.out == "false" }

// A model whose state is a string; `step` says whether the operation is possible and what it leaves.
func of(init string, step func(string, *asked) (bool, string), partition func(*asked) string) porcupine.Model {
	model := porcupine.Model{
		Init: func() interface{} { return init },
		Step: func(state, input, _ interface{}) (bool, interface{}) {
			possible, next := step(state.(string), input.(*asked))
			return possible, next
		},
	}
	if partition != nil {
		model.Partition = func(history []porcupine.Operation) [][]porcupine.Operation {
			parts := map[string][]porcupine.Operation{}
			for _, operation := range history {
				key := partition(operation.Input.(*asked))
				parts[key] = append(parts[key], operation)
			}
			var all [][]porcupine.Operation
			for _, part := range parts {
				all = append(all, part)
			}
			return all
		}
	}
	return model
}

func key(op *asked) string     { return op.key }
func element(op *asked) string { return op.in }

var models = map[string]porcupine.Model{
	"register":        of(null, register, key),
	"cas-register":    of(null, register, key),
	"kv":              of("", kv, key),
	"counter":         of("0", counter, key),
	"queue":           of("", queue, key),
	"stack":           of("", stack, key),
	"unordered-queue": bagModel.ToModel(),
	"set":             of("", set, key),
	"set-elements":    of("", set, element),
	"log":             of("", log, key),
	"mutex":           of("", mutex, key),
	"fencing-lock":    of(",", fencingLock, key),
	"semaphore":       of("", semaphore, key),
	"ids":             of("", ids, key),
	"ordered-ids":     of("", orderedIds, key),
	"multi-register":  multiRegister,
}

func register(state string, op *asked) (bool, string) {
	switch op.f {
	case "read":
		return op.answers(state), state
	case "write":
		return true, op.in
	}
	holds := op.from == state
	if !holds || op.refused() {
		return !op.known || holds != op.refused(), state
	}
	return true, op.to
}

func kv(state string, op *asked) (bool, string) {
	switch op.f {
	case "get":
		return op.answers(state) || state == "" && op.out == null, state
	case "append":
		return true, state + op.in
	case "delete":
		return op.out == null || op.out == strconv.FormatBool(state != ""), ""
	case "cas":
		holds := text(op.from) == state
		if !holds || op.refused() {
			return !op.known || holds != op.refused(), state
		}
		return true, text(op.to)
	}
	return true, op.in
}

// The text that stands in JSON; an absent key is the empty one.
func text(value string) string {
	if value == null {
		return ""
	}
	return strings.Trim(value, `"`)
}

func counter(state string, op *asked) (bool, string) {
	if op.f == "read" {
		return op.answers(state), state
	}
	sum, _ := strconv.Atoi(state)
	more, _ := strconv.Atoi(op.in)
	next := strconv.Itoa(sum + more)
	return op.out == null || op.answers(next), next
}

func queue(state string, op *asked) (bool, string) {
	if op.f == "enqueue" {
		return true, state + op.in + ","
	}
	first, rest, some := strings.Cut(state, ",")
	if !some {
		first = null
	}
	return op.answers(first), rest
}

func stack(state string, op *asked) (bool, string) {
	if op.f == "push" {
		return true, state + op.in + ","
	}
	if state == "" {
		return op.answers(null), state
	}
	at := strings.LastIndexByte(state[:len(state)-1], ',') + 1
	return op.answers(state[at : len(state)-1]), state[:at]
}

// Elements in order; each ends with a comma.
func split(state string) []string {
	items := strings.Split(state, ",")
	return items[:len(items)-1]
}

func with(state, item string) string {
	items := split(state)
	at := sort.SearchStrings(items, item)
	all := append([]string{}, items[:at]...)
	return joined(append(append(all, item), items[at:]...))
}

func without(state, item string) (string, bool) {
	items := split(state)
	at := sort.SearchStrings(items, item)
	if at == len(items) || items[at] != item {
		return state, false
	}
	all := append([]string{}, items[:at]...)
	return joined(append(all, items[at+1:]...)), true
}

// Which element a dequeue of unknown outcome took, nobody knows: any, or none.
var bagModel = porcupine.NondeterministicModel{
	Init: func() []interface{} { return []interface{}{""} },
	Step: func(state, input, _ interface{}) []interface{} {
		held, op := state.(string), input.(*asked)
		switch {
		case op.f == "enqueue":
			return []interface{}{with(held, op.in)}
		case !op.known:
			next := []interface{}{held}
			for _, item := range split(held) {
				rest, _ := without(held, item)
				next = append(next, rest)
			}
			return next
		case op.out == null:
			if held != "" {
				return nil
			}
			return []interface{}{held}
		}
		rest, there := without(held, op.out)
		if !there {
			return nil
		}
		return []interface{}{rest}
	},
}

func set(state string, op *asked) (bool, string) {
	rest, there := without(state, op.in)
	switch op.f {
	case "add":
		if there {
			return !op.known || op.out == null || op.out == "false", state
		}
		return !op.known || op.out == null || op.out == "true", with(state, op.in)
	case "delete":
		return !op.known || op.out == null || op.out == strconv.FormatBool(there), rest
	case "contains":
		return op.answers(strconv.FormatBool(there)), state
	}
	sort.Strings(op.parts)
	return !op.known || joined(op.parts) == state, state
}

func log(state string, op *asked) (bool, string) {
	if op.f == "read" {
		return op.answers(state), state
	}
	return op.out == null || op.answers(strconv.Itoa(strings.Count(state, ","))), state + op.in + ","
}

func mutex(state string, op *asked) (bool, string) {
	me, possible, next := strconv.Itoa(op.client), state == "", ""
	if op.f == "acquire" {
		next = me
	} else {
		possible = state == me
	}
	if !possible || op.refused() {
		return !op.known || possible != op.refused() && op.refused(), state
	}
	return true, next
}

// Who holds the lock, and the last token. An acquire of unknown outcome took the next one.
func fencingLock(state string, op *asked) (bool, string) {
	holder, token, _ := strings.Cut(state, ",")
	me, possible := strconv.Itoa(op.client), holder == ""
	if op.f == "release" {
		possible = holder == me
	}
	if !possible || op.refused() {
		return !op.known || possible != op.refused() && op.refused(), state
	}
	if op.f == "release" {
		return true, "," + token
	}
	last, _ := strconv.Atoi(token)
	next := last + 1
	if op.known {
		next, _ = strconv.Atoi(op.out)
	}
	return next > last, me + "," + strconv.Itoa(next)
}

func ids(state string, op *asked) (bool, string) {
	if !op.known {
		return true, state
	}
	_, there := without(state, op.out)
	return !there, with(state, op.out)
}

func orderedIds(state string, op *asked) (bool, string) {
	if !op.known {
		return true, state
	}
	last, _ := strconv.Atoi(state)
	next, _ := strconv.Atoi(op.out)
	return next > last, op.out
}

// Two permits; the state lists who holds them.
func semaphore(state string, op *asked) (bool, string) {
	me := strconv.Itoa(op.client)
	possible, next := strings.Count(state, ",") < 2, with(state, me)
	if op.f == "release" {
		next, possible = without(state, me)
	}
	if !possible || op.refused() {
		return !op.known || possible != op.refused() && op.refused(), state
	}
	return true, next
}

// Names and values, in the order of the names.
var multiRegister = of("", func(state string, op *asked) (bool, string) {
	held := map[string]string{}
	for _, pair := range split(state) {
		name, value, _ := strings.Cut(pair, "=")
		held[name] = value
	}
	for _, access := range op.accesses {
		value, there := held[access[1]]
		if !there {
			value = null
		}
		if access[0] != `"r"` {
			held[access[1]] = access[2]
		} else if op.known && value != access[2] {
			return false, state
		}
	}
	var pairs []string
	for name, value := range held {
		pairs = append(pairs, name+"="+value)
	}
	sort.Strings(pairs)
	return true, joined(pairs)
}, key)
