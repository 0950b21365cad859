/** Who is to be invoked without a batch. */
export interface PokeTarget {
  /** Id of the stage. */
  readonly stage: string
  /** Name of the subtask in its stage: its index, or the split of a source. */
  readonly subtask: string
}

/**
 * Invokes subtasks later. A poke is only a hint: it may be lost, doubled, early or late; whoever is poked reads its log and its clock and
 * finds out what there is to do.
 */
export interface Pokes {
  /** At about `atMs` (epoch ms; in the past: at once). A message waits 15 minutes at most, so a later time is reached in hops. */
  poke(target: PokeTarget, atMs: number): Promise<void>
}
