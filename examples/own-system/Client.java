// A client for the wire `exec` in Java, with its standard library: java Client.java ADDRESS TIMEOUT_MS
import java.io.*;
import java.net.*;
import java.nio.charset.StandardCharsets;
import java.util.regex.*;

public class Client {
    /** Reads a number, or a pair of numbers, or nothing: no JSON library is needed for that. */
    static final Pattern LINE = Pattern.compile("\"id\":(\\d+),.*\"f\":\"(\\w+)\",\"key\":\"([^\"]*)\",\"value\":\\[?([^,\\]}]*),?([^\\]}]*)");
    static final Pattern VALUE = Pattern.compile("\"value\": *([^,}]*)");

    /** One request on a connection of its own. HttpURLConnection would send a lost request again. */
    static String send(String address, int timeout, String method, String key, String body) throws IOException {
        String[] at = address.split(":");
        try (Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress(at[0], Integer.parseInt(at[1])), timeout);
            socket.setSoTimeout(timeout);
            String head = method + " /" + key + " HTTP/1.0\r\nContent-Length: " + body.length() + "\r\n\r\n";
            socket.getOutputStream().write((head + body).getBytes(StandardCharsets.UTF_8));
            String answer = new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            Matcher length = Pattern.compile("(?i)content-length: (\\d+)\r\n").matcher(answer);
            int end = answer.indexOf("\r\n\r\n");
            if (end < 0 || !length.find() || answer.length() < end + 4 + Integer.parseInt(length.group(1)))
                throw new EOFException("the answer is not complete");
            return answer;
        }
    }

    static String invoke(String address, int timeout, Matcher line) {
        String f = line.group(2), key = line.group(3), a = line.group(4), b = line.group(5);
        String body = f.equals("write") ? "{\"value\":" + a + "}" : "{\"from\":" + a + ",\"value\":" + b + "}";
        try {
            String answer = f.equals("read") ? send(address, timeout, "GET", key, "") : send(address, timeout, "PUT", key, body);
            String status = answer.split(" ")[1];
            Matcher found = VALUE.matcher(answer);
            if (f.equals("read") && status.matches("200|404") && found.find()) return "\"ok\",\"value\":" + found.group(1);
            if (f.equals("cas") && status.matches("200|409")) return "\"ok\",\"value\":" + status.equals("200");
            return status.equals("200") ? "\"ok\"" : "\"info\",\"error\":\"status " + status + "\"";
        } catch (ConnectException error) { // nothing was sent
            return "\"fail\",\"error\":\"refused\"";
        } catch (Exception error) { // nobody knows whether it was executed
            return "\"info\",\"error\":\"" + error.getClass().getSimpleName() + "\"";
        }
    }

    static final String HELLO = "{\"id\":0,\"type\":\"ok\",\"version\":1,\"operations\":[\"register.read\",\"register.write\",\"register.cas\"]}";

    public static void main(String[] args) throws IOException {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String text; (text = lines.readLine()) != null; ) {
            if (text.contains("\"f\":\"hello\"")) {
                System.out.println(HELLO);
                continue;
            }
            Matcher line = LINE.matcher(text);
            if (!line.find()) throw new IOException("unexpected line: " + text);
            System.out.println("{\"id\":" + line.group(1) + ",\"type\":" + invoke(args[0], Integer.parseInt(args[1]), line) + "}");
        }
    }
}
