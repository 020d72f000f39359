# What people do here, by name. Each is one public command; none is needed.

# the main job
run *ARGS="register":
    cargo run --release -- run {{ARGS}}

# everything that has to hold before a change lands
ci:
    bash .ci/run

test:
    cargo test --workspace --no-fail-fast

lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
