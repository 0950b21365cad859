/**
 * Names a side output and its element type (Flink's OutputTag). Two tags with the same id are the same output.
 *
 * @example
 * const late = new OutputTag<Access>('late')
 * const lateAccesses = counts.getSideOutput(late)
 */
export class OutputTag<T> {
  /** Never set: it only carries the type. */
  declare readonly elementType: (value: T) => T

  constructor(readonly id: string) {}
}
