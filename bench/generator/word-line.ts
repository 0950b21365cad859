import { flatString } from './flat-string.js'
import { zipf } from './mix.js'

export const WORDS_PER_LINE = 10
const VOCABULARY = 5000
const FIRST_WORDS = Array.from({ length: VOCABULARY }, (_, word) => flatString(`w${word}`))
const NEXT_WORDS = Array.from({ length: VOCABULARY }, (_, word) => flatString(` w${word}`))

/** Line `i` of the text: ten words `w0` .. `w4999`, separated by one space. */
export function wordLine(i: number): string {
  const n = Math.imul(i, WORDS_PER_LINE)
  let line = FIRST_WORDS[zipf(n, 11, 13) % VOCABULARY]
  for (let j = 1; j < WORDS_PER_LINE; j++) line += NEXT_WORDS[zipf(n + j, 11, 13) % VOCABULARY]
  return line
}
