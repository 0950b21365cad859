export interface WordCount {
  readonly word: string
  readonly n: number
}

export interface TimedWord extends WordCount {
  /** Epoch milliseconds. */
  readonly timeMs: number
}

/** The words of a line, each counted once. Letters, digits, `_`, `-` and `'` make words; case counts. */
export function wordsOf(line: string): WordCount[] {
  return Array.from(line.matchAll(/[\p{L}\p{N}_'-]+/gu), ([word]) => ({ word, n: 1 }))
}

/** The same for `epochMillis word word …`. Throws for a line without a time. */
export function timedWordsOf(line: string): TimedWord[] {
  const match = /^\s*(-?\d+)(?:\s+(.*))?$/.exec(line)
  if (match === null) throw new Error(`expected "epochMillis word word …", got ${JSON.stringify(line)}`)
  const timeMs = Number(match[1])
  return wordsOf(match[2] ?? '').map((w) => ({ ...w, timeMs }))
}

/** The words of a line that has just come. */
export function wordsOfNow(line: string): TimedWord[] {
  return wordsOf(line).map((w) => ({ ...w, timeMs: Date.now() }))
}

export function addCounts<W extends WordCount>(a: W, b: W): W {
  return { ...a, n: a.n + b.n }
}
