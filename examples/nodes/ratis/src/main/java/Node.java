import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;
import java.util.stream.Collectors;
import org.apache.ratis.RaftConfigKeys;
import org.apache.ratis.client.RaftClient;
import org.apache.ratis.client.RaftClientConfigKeys;
import org.apache.ratis.conf.RaftProperties;
import org.apache.ratis.netty.NettyConfigKeys;
import org.apache.ratis.protocol.Message;
import org.apache.ratis.protocol.RaftClientReply;
import org.apache.ratis.protocol.RaftGroup;
import org.apache.ratis.protocol.RaftGroupId;
import org.apache.ratis.protocol.RaftPeer;
import org.apache.ratis.protocol.RaftPeerId;
import org.apache.ratis.retry.RetryPolicies;
import org.apache.ratis.rpc.SupportedRpcType;
import org.apache.ratis.server.RaftServer;
import org.apache.ratis.server.RaftServerConfigKeys;
import org.apache.ratis.server.protocol.TermIndex;
import org.apache.ratis.server.storage.FileInfo;
import org.apache.ratis.server.storage.RaftStorage;
import org.apache.ratis.statemachine.StateMachineStorage;
import org.apache.ratis.statemachine.TransactionContext;
import org.apache.ratis.statemachine.impl.BaseStateMachine;
import org.apache.ratis.statemachine.impl.SimpleStateMachineStorage;
import org.apache.ratis.statemachine.impl.SingleFileSnapshotInfo;
import org.apache.ratis.util.MD5FileUtil;
import org.apache.ratis.util.TimeDuration;

/**
 * A key-value node on Apache Ratis: Node ID DATA PEER-ADDRESS API-ADDRESS MEMBERS, with members as n1=127.0.0.1:7001,n2=...
 * A client of Ratis inside the node sends requests to the leader. It repeats them under the same call id, which Ratis
 * executes once.
 */
public final class Node {
    private static final RaftGroupId GROUP = RaftGroupId.valueOf(new UUID(0, 1));

    /** Commands are text: set K V, cas K FROM TO, add K N, append K V. A query is a key. */
    private static final class Store extends BaseStateMachine {
        private final SimpleStateMachineStorage storage = new SimpleStateMachineStorage();
        private final Map<String, String> values = new TreeMap<>();

        @Override
        public void initialize(RaftServer server, RaftGroupId group, RaftStorage raftStorage) throws IOException {
            super.initialize(server, group, raftStorage);
            storage.init(raftStorage);
            reinitialize();
        }

        @Override
        public synchronized void reinitialize() throws IOException {
            final SingleFileSnapshotInfo snapshot = storage.loadLatestSnapshot();
            if (snapshot == null) {
                return;
            }
            final File file = snapshot.getFile().getPath().toFile();
            if (snapshot.getFile().getFileDigest() != null) {
                MD5FileUtil.verifySavedMD5(file, snapshot.getFile().getFileDigest());
            }
            values.clear();
            for (String line : Files.readAllLines(file.toPath())) {
                values.put(line.split(" ")[0], line.split(" ")[1]);
            }
            setLastAppliedTermIndex(SimpleStateMachineStorage.getTermIndexFromSnapshotFile(file));
        }

        @Override
        public StateMachineStorage getStateMachineStorage() {
            return storage;
        }

        @Override
        public synchronized long takeSnapshot() throws IOException {
            final TermIndex applied = getLastAppliedTermIndex();
            final File file = storage.getSnapshotFile(applied.getTerm(), applied.getIndex());
            final List<String> lines = new ArrayList<>();
            values.forEach((key, value) -> lines.add(key + " " + value));
            // Whole and durable before it has its name: afterwards Ratis forgets the log up to here.
            final Path unfinished = file.toPath().resolveSibling("unfinished");
            Files.write(unfinished, lines);
            sync(unfinished);
            Files.move(unfinished, file.toPath(), StandardCopyOption.ATOMIC_MOVE);
            sync(file.toPath().getParent());
            final FileInfo info = new FileInfo(file.toPath(), MD5FileUtil.computeAndSaveMd5ForFile(file));
            storage.updateLatestSnapshot(new SingleFileSnapshotInfo(info, applied));
            return applied.getIndex();
        }

        @Override
        public synchronized CompletableFuture<Message> applyTransaction(TransactionContext transaction) {
            final var entry = transaction.getLogEntry();
            final String[] word = entry.getStateMachineLogEntry().getLogData().toStringUtf8().split(" ", -1);
            final String key = word[1];
            final String old = values.getOrDefault(key, "");
            String answer = "1";
            switch (word[0]) {
                case "set" -> values.put(key, word[2]);
                case "add" -> values.put(key, "" + ((old.isEmpty() ? 0 : Long.parseLong(old)) + Long.parseLong(word[2])));
                case "append" -> values.put(key, old.isEmpty() ? word[2] : old + "," + word[2]);
                case "cas" -> {
                    if (old.equals(word[2])) {
                        values.put(key, word[3]);
                    } else {
                        answer = "0";
                    }
                }
                default -> answer = "0";
            }
            updateLastAppliedTermIndex(TermIndex.valueOf(entry));
            return CompletableFuture.completedFuture(Message.valueOf(answer));
        }

        @Override
        public synchronized CompletableFuture<Message> query(Message key) {
            return CompletableFuture.completedFuture(
                Message.valueOf(values.getOrDefault(key.getContent().toStringUtf8(), "")));
        }
    }

    private static void sync(Path fileOrDirectory) throws IOException {
        try (FileChannel channel = FileChannel.open(fileOrDirectory)) {
            channel.force(true);
        }
    }

    private static InetSocketAddress socket(String address) {
        return new InetSocketAddress(address.split(":")[0], Integer.parseInt(address.split(":")[1]));
    }

    private static TimeDuration milliseconds(long n) {
        return TimeDuration.valueOf(n, java.util.concurrent.TimeUnit.MILLISECONDS);
    }

    private static RaftServer start(String id, File data, String address, RaftGroup group) throws IOException {
        final RaftProperties properties = new RaftProperties();
        RaftServerConfigKeys.setStorageDir(properties, List.of(data));
        RaftServerConfigKeys.Read.setOption(properties, RaftServerConfigKeys.Read.Option.LINEARIZABLE);
        RaftServerConfigKeys.Read.setTimeout(properties, milliseconds(1000));
        RaftServerConfigKeys.Rpc.setTimeoutMin(properties, milliseconds(400));
        RaftServerConfigKeys.Rpc.setTimeoutMax(properties, milliseconds(800));
        RaftServerConfigKeys.Rpc.setRequestTimeout(properties, milliseconds(1000));
        RaftServerConfigKeys.Snapshot.setAutoTriggerEnabled(properties, true);
        RaftServerConfigKeys.Snapshot.setAutoTriggerThreshold(properties, 500);
        RaftServerConfigKeys.Log.setPurgeUptoSnapshotIndex(properties, true);
        // Not gRPC: after a cut it waits ever longer before it connects again, and no leader is elected meanwhile.
        RaftConfigKeys.Rpc.setType(properties, SupportedRpcType.NETTY);
        NettyConfigKeys.Server.setHost(properties, socket(address).getHostString());
        NettyConfigKeys.Server.setPort(properties, socket(address).getPort());
        final boolean first = !data.exists();
        final RaftServer server = RaftServer.newBuilder()
            .setServerId(RaftPeerId.valueOf(id))
            .setGroup(group)
            .setProperties(properties)
            .setStateMachine(new Store())
            .setOption(first ? RaftStorage.StartupOption.FORMAT : RaftStorage.StartupOption.RECOVER)
            .build();
        server.start();
        return server;
    }

    private static RaftClient connect(RaftGroup group) {
        final RaftProperties properties = new RaftProperties();
        RaftConfigKeys.Rpc.setType(properties, SupportedRpcType.NETTY);
        RaftClientConfigKeys.Rpc.setRequestTimeout(properties, milliseconds(1000));
        return RaftClient.newBuilder()
            .setProperties(properties)
            .setRaftGroup(group)
            .setRetryPolicy(RetryPolicies.retryUpToMaximumCountWithFixedSleep(20, milliseconds(50)))
            .build();
    }

    private static void answer(HttpExchange exchange, int status, String body) throws IOException {
        exchange.sendResponseHeaders(status, body.isEmpty() ? -1 : body.length());
        exchange.getResponseBody().write(body.getBytes());
        exchange.close();
    }

    private static void handle(HttpExchange exchange, RaftServer server, RaftClient client) throws IOException {
        final String path = exchange.getRequestURI().getPath();
        if (path.equals("/health")) {
            final var info = server.getDivision(GROUP).getInfo();
            final String leader = "{\"leader\": " + info.isLeader() + ", \"term\": " + info.getCurrentTerm() + "}";
            answer(exchange, 200, leader);
            return;
        }
        final boolean read = exchange.getRequestMethod().equals("GET");
        final Message message = Message.valueOf(read ? path.substring(1) : new String(exchange.getRequestBody().readAllBytes()));
        final RaftClientReply reply;
        try {
            reply = read ? client.io().sendReadOnly(message) : client.io().send(message);
        } catch (IOException e) {
            answer(exchange, 503, e.toString());
            return;
        }
        final String content = reply.isSuccess() ? reply.getMessage().getContent().toStringUtf8() : "";
        if (!reply.isSuccess()) {
            answer(exchange, 503, String.valueOf(reply.getException()));
        } else if (read) {
            answer(exchange, content.isEmpty() ? 404 : 200, content);
        } else {
            answer(exchange, content.equals("1") ? 200 : 409, "");
        }
    }

    public static void main(String[] args) throws IOException {
        final List<RaftPeer> peers = List.of(args[4].split(",")).stream()
            .map(member -> member.split("="))
            .map(member -> RaftPeer.newBuilder().setId(member[0]).setAddress(member[1]).build())
            .collect(Collectors.toList());
        final RaftGroup group = RaftGroup.valueOf(GROUP, peers);
        final RaftServer server = start(args[0], new File(args[1], "ratis"), args[2], group);
        final RaftClient client = connect(group);
        try {
            client.io().sendReadOnly(Message.valueOf("")); // loads the classes: the first request takes a second
        } catch (IOException e) {
            System.err.println("no leader yet: " + e);
        }
        final HttpServer http = HttpServer.create(socket(args[3]), 128);
        http.setExecutor(Executors.newCachedThreadPool());
        http.createContext("/", exchange -> handle(exchange, server, client));
        http.start();
    }
}
