import { readFileSync } from 'node:fs'
import { SourceMap } from 'node:module'
import { fileURLToPath } from 'node:url'

const maps = new Map<string, SourceMap | undefined>()

/**
 * An error's stack in the places where its code was written, as far as source maps stand beside the code. They are read when the first error is
 * logged: to start Node with --enable-source-maps costs every cold start.
 */
export function mappedStack(stack: string): string {
  return stack.replace(/(file:\/\/[^\s)]+):(\d+):(\d+)/g, (place, url: string, line: string, column: string) => {
    const entry = sourceMap(url)?.findEntry(Number(line) - 1, Number(column) - 1)
    if (entry === undefined || !('originalSource' in entry)) return place
    return `${entry.originalSource.replace(/^(\.\.\/)+/, '')}:${entry.originalLine + 1}:${entry.originalColumn + 1}`
  })
}

function sourceMap(url: string): SourceMap | undefined {
  if (!maps.has(url)) maps.set(url, readMap(url))
  return maps.get(url)
}

function readMap(url: string): SourceMap | undefined {
  try {
    return new SourceMap(JSON.parse(readFileSync(`${fileURLToPath(url)}.map`, 'utf8')))
  } catch {
    // There is none: the stack stays as it is.
    return undefined
  }
}
