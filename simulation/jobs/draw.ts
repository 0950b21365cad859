/** A source of chance, uniform in [0, 1). */
export interface Random {
  next(): number
}

/** Takes decisions by chance. */
export class Draw {
  constructor(readonly random: Random) {}

  /** A whole number from 0 to n - 1. */
  int(n: number): number {
    return Math.floor(this.random.next() * n)
  }

  between(least: number, most: number): number {
    return least + this.int(most - least + 1)
  }

  chance(p: number): boolean {
    return this.random.next() < p
  }

  pick<T>(list: readonly T[]): T {
    return list[this.int(list.length)]
  }
}
