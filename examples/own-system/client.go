// A client for the wire `exec` in Go, with its standard library: go build client.go && ./client ADDRESS TIMEOUT_MS
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"
)

type object map[string]any

func main() {
	ms, _ := strconv.Atoi(os.Args[2])
	// Each request has its own connection: on a kept one, net/http would send a request again.
	client := http.Client{Timeout: time.Duration(ms) * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	send := func(method, key string, body object) (status int, found object, err error) {
		text, _ := json.Marshal(body)
		asked, _ := http.NewRequest(method, "http://"+os.Args[1]+"/"+key, bytes.NewReader(text))
		answer, err := client.Do(asked)
		if err != nil {
			return 0, nil, err
		}
		defer answer.Body.Close()
		err = json.NewDecoder(answer.Body).Decode(&found)
		return answer.StatusCode, found, err
	}
	invoke := func(f, key string, value any) object {
		method, body := "GET", object(nil)
		if f == "write" {
			method, body = "PUT", object{"value": value}
		} else if f == "cas" {
			method, body = "PUT", object{"from": value.([]any)[0], "value": value.([]any)[1]}
		}
		status, found, err := send(method, key, body)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED): // nothing was sent
			return object{"type": "fail", "error": err.Error()}
		case err != nil: // nobody knows whether it was executed
			return object{"type": "info", "error": err.Error()}
		case f == "read" && (status == 200 || status == 404):
			return object{"type": "ok", "value": found["value"]}
		case f == "cas" && (status == 200 || status == 409):
			return object{"type": "ok", "value": status == 200}
		case status == 200:
			return object{"type": "ok"}
		}
		return object{"type": "info", "error": fmt.Sprint("status ", status)}
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var asked struct {
			ID     uint64
			F, Key string
			Value  any
		}
		json.Unmarshal(lines.Bytes(), &asked)
		var answer object
		if asked.F == "hello" {
			operations := []string{"register.read", "register.write", "register.cas"}
			answer = object{"type": "ok", "version": 1, "operations": operations}
		} else {
			answer = invoke(asked.F, asked.Key, asked.Value)
		}
		answer["id"] = asked.ID
		json.NewEncoder(os.Stdout).Encode(answer)
	}
}
