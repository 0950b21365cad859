/** Bits that are taken at once: shifts of so many stay exact in 32 bits, with a byte that is not full yet. */
const CHUNK = 24
const CHUNK_SIZE = 2 ** CHUNK

/** Bits that hold every number from 0 to `most`. */
export function widthOf(most: number): number {
  let width = 0
  for (let left = most; left >= 1; left = Math.floor(left / 2)) width++
  return width
}

/** Bytes that so many numbers take. */
export function packedBitsLength(size: number, width: number): number {
  return Math.ceil((size * width) / 8)
}

/** Writes whole numbers from 0 to 2^width - 1, each in `width` bits (0 to 52), one behind the other. */
export class BitWriter {
  #bits = 0
  #count = 0

  constructor(
    readonly bytes: Uint8Array,
    public at: number,
    readonly width: number,
  ) {}

  write(number: number): void {
    let { width } = this
    let left = number
    for (; width > CHUNK; width -= CHUNK) {
      this.#chunk(left % CHUNK_SIZE, CHUNK)
      left = Math.floor(left / CHUNK_SIZE)
    }
    this.#chunk(left, width)
  }

  #chunk(number: number, width: number): void {
    let bits = this.#bits | (number << this.#count)
    let count = this.#count + width
    for (; count >= 8; count -= 8) {
      this.bytes[this.at++] = bits & 255
      bits >>>= 8
    }
    this.#bits = bits
    this.#count = count
  }

  /** The last byte, which may not be full. */
  end(): void {
    if (this.#count > 0) this.bytes[this.at++] = this.#bits
  }
}

/** Reads what {@link BitWriter} wrote. Behind the end of the bytes it reads zeros. */
export class BitReader {
  #bits = 0
  #count = 0

  constructor(
    readonly bytes: Uint8Array,
    public at: number,
    readonly width: number,
  ) {}

  read(): number {
    let { width } = this
    let number = 0
    let weight = 1
    for (; width > CHUNK; width -= CHUNK) {
      number += this.#chunk(CHUNK) * weight
      weight *= CHUNK_SIZE
    }
    return number + this.#chunk(width) * weight
  }

  #chunk(width: number): number {
    let bits = this.#bits
    let count = this.#count
    for (; count < width; count += 8) bits |= this.bytes[this.at++] << count
    this.#bits = bits >>> width
    this.#count = count - width
    return bits & ((1 << width) - 1)
  }
}
