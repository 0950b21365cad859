import { beforeEach, describe, expect, it } from 'vitest'
import { type WarmSubtask, WarmSubtasks } from '../../functions/warm-subtasks.js'

class Fake implements WarmSubtask {
  memoryBytes = 0
  isStale = false

  constructor(readonly name: string) {}

  async release(): Promise<void> {
    log.push(`${this.name} released`)
    this.memoryBytes = 0
  }
}

let log: string[] = []

beforeEach(() => {
  log = []
})

function grown(bytes: number) {
  return async (subtask: Fake): Promise<void> => {
    log.push(`${subtask.name} ${subtask.memoryBytes}`)
    subtask.memoryBytes += bytes
  }
}

describe('the subtasks of an instance', () => {
  it('stay in memory as long as they fit; those that were not used for longest go first, and never the one just used', async () => {
    const warm = new WarmSubtasks((name) => new Fake(name), 100)
    for (const name of ['a', 'b', 'c', 'a']) await warm.use(name, grown(25))
    expect(log.splice(0)).toEqual(['a 0', 'b 0', 'c 0', 'a 25'])
    await warm.use('d', grown(40))
    expect(log.splice(0)).toEqual(['d 0', 'b released', 'c released'])
    await warm.use('d', grown(500))
    expect(log.splice(0)).toEqual(['d 40', 'a released'])
    await warm.use('d', grown(0))
    await warm.use('a', grown(1))
    expect(log).toEqual(['d 540', 'a 0', 'd released'])
  })

  it('go when what they have in memory is too old to be used again', async () => {
    const made = new Map<string, Fake>()
    const create = (name: string) => {
      const fake = new Fake(name)
      made.set(name, fake)
      return fake
    }
    const warm = new WarmSubtasks(create, 100)
    for (const name of ['a', 'b']) await warm.use(name, grown(10))
    for (const name of ['a', 'b']) (made.get(name) as Fake).isStale = true
    await warm.use('b', grown(0))
    expect(log).toEqual(['a 0', 'b 0', 'b 10', 'a released'])
  })
})
