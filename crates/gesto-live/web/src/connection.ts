// One WebSocket to the server that reconnects by itself.

import { SUBPROTOCOL, decodeMessage } from "./protocol";
import type { ServerMessage, Settings, TextMessage } from "./protocol";

export type ConnectionState =
  | { name: "connecting" }
  | { name: "open" }
  /** No server; the next try is at `retryAt` (milliseconds of performance.now). */
  | { name: "gone"; retryAt: number; reason: string }
  /** The server closed a stream that sent nothing for long; open() begins anew. */
  | { name: "idle" }
  /** The server is there and will not have us until the person does something. */
  | { name: "refused"; reason: string }
  | { name: "closed" };

export interface ConnectionEvents {
  state(state: ConnectionState): void;
  text(message: TextMessage): void;
  binary(message: ServerMessage): void;
}

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 5000;
/** Close codes of docs/live-protocol.md. */
const CLOSE_IDLE = 4001;
const CLOSE_FULL = 1013;
const CLOSE_POLICY = 1008;

export class Connection {
  private socket: WebSocket | null = null;
  private attempts = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private wanted = false;

  constructor(
    private readonly url: URL,
    private readonly events: ConnectionEvents,
  ) {}

  get isOpen(): boolean {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  open(): void {
    this.wanted = true;
    if (this.socket) return;
    clearTimeout(this.timer);
    this.events.state({ name: "connecting" });
    const url = new URL("v1/stream", this.url);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url, SUBPROTOCOL);
    socket.binaryType = "arraybuffer";
    let opened = false;
    socket.onopen = () => {
      opened = true;
      this.events.state({ name: "open" });
    };
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      // The first message is proof that the server serves: only then does the retry delay start over.
      this.attempts = 0;
      if (typeof event.data === "string") this.events.text(JSON.parse(event.data) as TextMessage);
      else this.events.binary(decodeMessage(event.data));
    };
    socket.onclose = (event) => {
      this.socket = null;
      if (!this.wanted) this.events.state({ name: "closed" });
      else if (event.code === CLOSE_IDLE) {
        this.wanted = false;
        this.events.state({ name: "idle" });
      } else if (event.code === CLOSE_POLICY) {
        this.wanted = false;
        this.events.state({ name: "refused", reason: event.reason || "The server closed this stream." });
      } else void this.retry(opened, event.code === CLOSE_FULL ? event.reason : "");
    };
    this.socket = socket;
  }

  close(): void {
    this.wanted = false;
    clearTimeout(this.timer);
    if (this.socket) this.socket.close(1000);
    else this.events.state({ name: "closed" });
  }

  send(message: ArrayBuffer): boolean {
    if (!this.isOpen) return false;
    this.socket?.send(message);
    return true;
  }

  change(settings: Partial<Settings>): void {
    if (this.isOpen) this.socket?.send(JSON.stringify({ type: "settings", ...settings }));
  }

  private async retry(opened: boolean, reason: string): Promise<void> {
    // A WebSocket does not tell why its handshake failed; an ordinary request does.
    const refusal = opened ? "" : await this.askWhy();
    if (!this.wanted) return;
    if (refusal) {
      this.wanted = false;
      this.events.state({ name: "refused", reason: refusal });
      return;
    }
    const delay = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.attempts++);
    this.events.state({ name: "gone", retryAt: performance.now() + delay, reason });
    this.timer = setTimeout(() => this.open(), delay);
  }

  private async askWhy(): Promise<string> {
    try {
      const response = await fetch(new URL("v1/info", this.url), { signal: AbortSignal.timeout(2000) });
      if (response.status === 401) return "The access token is missing or no longer valid. Reload the page to enter it.";
      if (response.status === 403) return "The server does not accept this page's address.";
    } catch {
      // No answer at all: the server is gone and the retries go on.
    }
    return "";
  }
}
