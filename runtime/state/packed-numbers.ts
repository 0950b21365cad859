import { BitReader, BitWriter, packedBitsLength, widthOf } from './packed-bits.js'

/** Numbers that stay exact as integers up to here, differences included. */
const LARGEST = 2 ** 50
/** Decimal places that are tried: whole numbers, cents, hundredths of a cent. */
const SCALES = [1, 100, 10_000] as const
/** Bit of the first byte: the bits are those of differences between neighbours. */
const DIFFERENCES = 4
/** Bit of the first byte: some numbers are no such decimals (a sum of decimals often is none). They stand behind the bits. */
const WITH_OTHERS = 8
/** The first byte when all stand as doubles. */
const RAW = 255
/** Among more others than this part of all they would not be worth it. */
const MOST_OTHERS = 1 / 8
const DOUBLE = 8
/** Behind the first byte: the bits' width, the last byte of how many numbers there are, and the number that is added to each. */
const HEAD_BYTES = 3 + DOUBLE

/**
 * Numbers in few bytes: decimals of few places as whole numbers above the least of them, or those of the differences of neighbours, in as many bits
 * as the greatest needs. Every number comes back as it is, -0 and NaN too.
 */
export function packNumbers(numbers: ArrayLike<number>, size: number): Uint8Array {
  const found = scaled(numbers, size)
  if (found === undefined) return packDoubles(numbers, size)
  const { scale, whole, others } = found
  let least = whole[0]
  let most = least
  let leastStep = 0
  let mostStep = 0
  for (let i = 1; i < size; i++) {
    const now = whole[i]
    if (now < least) least = now
    else if (now > most) most = now
    const step = now - whole[i - 1]
    if (i === 1) leastStep = mostStep = step
    else if (step < leastStep) leastStep = step
    else if (step > mostStep) mostStep = step
  }
  const width = widthOf(most - least)
  const stepWidth = widthOf(mostStep - leastStep)
  // The first number stands beside the differences.
  const differences = stepWidth * size + 8 * DOUBLE < width * size
  const bitsAt = HEAD_BYTES + (differences ? DOUBLE : 0)
  const bits = differences ? packedBitsLength(size - 1, stepWidth) : packedBitsLength(size, width)
  const bytes = new Uint8Array(bitsAt + bits + (others.length === 0 ? 0 : 4 + others.length * (4 + DOUBLE)))
  const view = new DataView(bytes.buffer)
  bytes[0] = scale | (differences ? DIFFERENCES : 0) | (others.length === 0 ? 0 : WITH_OTHERS)
  bytes[1] = differences ? stepWidth : width
  bytes[2] = size & 255
  view.setFloat64(3, differences ? leastStep : least)
  if (differences) view.setFloat64(HEAD_BYTES, whole[0])
  const writer = new BitWriter(bytes, bitsAt, bytes[1])
  if (differences) for (let i = 1; i < size; i++) writer.write(whole[i] - whole[i - 1] - leastStep)
  else for (let i = 0; i < size; i++) writer.write(whole[i] - least)
  writer.end()
  if (others.length > 0) writeOthers(view, bitsAt + bits, others, numbers)
  return bytes
}

/** Throws RangeError when the bytes are not of so many numbers. */
export function unpackNumbers(bytes: Uint8Array, size: number): number[] {
  const first = bytes[0]
  if (first === RAW) return unpackDoubles(bytes, size)
  const factor = SCALES[first & 3]
  if (factor === undefined || first >= 16 || bytes.length < HEAD_BYTES) throw new RangeError(`there are no numbers of kind ${first}`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const differences = (first & DIFFERENCES) !== 0
  const width = bytes[1]
  const added = view.getFloat64(3)
  const bitsAt = HEAD_BYTES + (differences ? DOUBLE : 0)
  const end = bitsAt + packedBitsLength(differences ? size - 1 : size, width)
  if (end > bytes.length || bytes[2] !== (size & 255)) throw new RangeError(`${bytes.length} bytes are not ${size} numbers`)
  const numbers = new Array<number>(size)
  const reader = new BitReader(bytes, bitsAt, width)
  let before = differences ? view.getFloat64(HEAD_BYTES) : 0
  for (let i = 0; i < size; i++) {
    const whole = differences ? (i === 0 ? before : before + reader.read() + added) : reader.read() + added
    before = whole
    numbers[i] = factor === 1 ? whole : whole / factor
  }
  if (readOthers(view, end, numbers, (first & WITH_OTHERS) !== 0) !== bytes.length) {
    throw new RangeError(`${bytes.length} bytes are not ${size} numbers`)
  }
  return numbers
}

interface Scaled {
  /** Index of the scale. */
  readonly scale: number
  readonly whole: Float64Array
  /** Places of the numbers that the scale does not fit; there stands the number before. */
  readonly others: readonly number[]
}

/** By the first scale that fits all, else by that which fits most, if it fits enough. */
function scaled(numbers: ArrayLike<number>, size: number): Scaled | undefined {
  if (size === 0) return undefined
  let best: Scaled | undefined
  for (let scale = 0; scale < SCALES.length; scale++) {
    const found = scaledBy(numbers, size, scale, best?.others.length ?? size * MOST_OTHERS)
    if (found === undefined) continue
    best = found
    if (found.others.length === 0) break
  }
  return best
}

/** Undefined when it does not fit more than `mostOthers`. */
function scaledBy(numbers: ArrayLike<number>, size: number, scale: number, mostOthers: number): Scaled | undefined {
  const factor = SCALES[scale]
  const whole = new Float64Array(size)
  const others: number[] = []
  let before = Number.NaN
  for (let i = 0; i < size; i++) {
    const number = numbers[i]
    const now = factor === 1 ? number : Math.round(number * factor)
    // Nor NaN, the infinities and -0.
    const fits = now < LARGEST && now > -LARGEST && (factor === 1 ? Math.floor(number) === number : now / factor === number)
    if (fits && (number !== 0 || 1 / number > 0)) before = now
    else if (others.push(i) > mostOthers) return undefined
    whole[i] = before
  }
  // Those before the first that fits stand as it does.
  for (let i = 0; i < others.length && others[i] === i; i++) whole[i] = whole[others.length === size ? 0 : firstBehind(others)]
  return { scale, whole, others }
}

/** The first place that is none of these, which rise. */
function firstBehind(places: readonly number[]): number {
  let at = 0
  while (places[at] === at) at++
  return at
}

/** How many, then place and number of each. */
function writeOthers(view: DataView, from: number, others: readonly number[], numbers: ArrayLike<number>): void {
  view.setUint32(from, others.length)
  let at = from + 4
  for (const place of others) {
    view.setUint32(at, place)
    view.setFloat64(at + 4, numbers[place])
    at += 4 + DOUBLE
  }
}

/** Returns where they end. */
function readOthers(view: DataView, from: number, numbers: number[], any: boolean): number {
  if (!any) return from
  const count = view.getUint32(from)
  let at = from + 4
  for (let i = 0; i < count; i++) {
    const place = view.getUint32(at)
    if (place >= numbers.length) throw new RangeError(`there is no number ${place}`)
    numbers[place] = view.getFloat64(at + 4)
    at += 4 + DOUBLE
  }
  return at
}

function packDoubles(numbers: ArrayLike<number>, size: number): Uint8Array {
  const bytes = new Uint8Array(1 + DOUBLE * size)
  bytes[0] = RAW
  bytes.set(new Uint8Array(Float64Array.from({ length: size }, (_, i) => numbers[i]).buffer), 1)
  return bytes
}

function unpackDoubles(bytes: Uint8Array, size: number): number[] {
  if (bytes.length !== 1 + DOUBLE * size) throw new RangeError(`${bytes.length} bytes are not ${size} numbers`)
  // A copy, because the bytes may lie at any offset and numbers of 8 bytes may not.
  return Array.from(new Float64Array(new Uint8Array(bytes.subarray(1)).buffer))
}
