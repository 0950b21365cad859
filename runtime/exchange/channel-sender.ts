import type { StreamElement } from './record-batch.js'

/** The sending end of one channel (sender subtask -> receiver subtask). */
export interface ChannelSender {
  send(element: StreamElement): void
  /** Whether the sender should go on; a few elements more than the capacity are taken all the same. */
  readonly writable: boolean
  /** Encoded bytes sent so far; 0 within a thread. */
  readonly bytes: number
}
