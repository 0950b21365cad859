import { StreamOperator } from '../operators/stream-operator.js'

/** Takes a source's place and emits what it is told. */
export class ScriptedInputOperator extends StreamOperator<unknown, unknown> {
  processElement(value: unknown, timestamp: number): void {
    this.output.collect(value, timestamp)
  }
}
