/** A power of two. */
const REMEMBERED = 16_384
const MOST_KINDS = 8
/** Fewer names at once are not worth the memory: a prefix that stands before a few may not come again. */
const WORTH_REMEMBERING = 64

/** Names of one kind that were seen last. Takes less than a MB. */
class Names {
  readonly #numbers = new Float64Array(REMEMBERED).fill(-1)
  readonly #names: string[] = new Array(REMEMBERED).fill('')

  constructor(
    readonly prefix: string,
    readonly digits: number,
  ) {}

  of(number: number): string {
    // Also of numbers beyond 32 bits.
    const place = number & (REMEMBERED - 1)
    if (this.#numbers[place] === number) return this.#names[place]
    const name = nameOf(this.prefix, this.digits, number)
    this.#numbers[place] = number
    this.#names[place] = name
    return name
  }
}

const kinds = new Map<string, Names>()

/**
 * Names that are a prefix and a whole number of so many digits (`user-000017`). Keys come again and again: a string that is the same object as the
 * one in a Map is found there without being hashed or compared, so those seen last are remembered.
 */
export function numberedNames(prefix: string, digits: number, numbers: readonly number[]): string[] {
  if (numbers.length < WORTH_REMEMBERING) return numbers.map((number) => nameOf(prefix, digits, number))
  const kind = `${digits} ${prefix}`
  let names = kinds.get(kind)
  if (names === undefined) {
    if (kinds.size === MOST_KINDS) kinds.clear()
    names = new Names(prefix, digits)
    kinds.set(kind, names)
  }
  const { length } = numbers
  const list: string[] = new Array(length)
  for (let i = 0; i < length; i++) list[i] = names.of(numbers[i])
  return list
}

function nameOf(prefix: string, digits: number, number: number): string {
  return prefix + String(number).padStart(digits, '0')
}
