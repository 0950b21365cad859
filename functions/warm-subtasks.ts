/** A subtask that may stay in memory from one invocation to the next. */
export interface WarmSubtask {
  /** What it takes in memory, about. */
  readonly memoryBytes: number
  /** Its memory would not be used again: it is too old. */
  readonly isStale: boolean
  /** Lets go of its memory; the next invocation starts cold. */
  release(): Promise<void>
}

/** The subtasks that this instance of a function has in memory. It may be given one after the other; together they may not take more than one. */
export class WarmSubtasks<Subtask extends WarmSubtask> {
  /** The last used stand last. */
  readonly #subtasks = new Map<string, Subtask>()

  constructor(
    readonly create: (name: string) => Subtask,
    /** Beyond that those that were not used for longest go. */
    readonly mostBytes: number,
  ) {}

  async use(name: string, work: (subtask: Subtask) => Promise<void>): Promise<void> {
    const subtask = this.#subtasks.get(name) ?? this.create(name)
    this.#subtasks.delete(name)
    this.#subtasks.set(name, subtask)
    await work(subtask)
    await this.#makeRoom(subtask)
  }

  async #makeRoom(used: Subtask): Promise<void> {
    let bytes = 0
    for (const { memoryBytes } of this.#subtasks.values()) bytes += memoryBytes
    for (const [name, subtask] of this.#subtasks) {
      if (subtask === used || (bytes <= this.mostBytes && !subtask.isStale)) continue
      bytes -= subtask.memoryBytes
      this.#subtasks.delete(name)
      await subtask.release()
    }
  }
}
