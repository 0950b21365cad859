import { describe, expect, it } from 'vitest'
import { deploymentLogName, readDeployment } from '../../functions/deployment-record.js'
import { planLogName } from '../../functions/job-prefixes.js'
import { readPlan } from '../../functions/recorded-plans.js'
import { MemoryCommitLog } from '../../runtime/backends/memory/index.js'

describe('an item of the table that cannot be read', () => {
  const DAMAGED = new Uint8Array([1, 2, 3])
  const advice = (log: string) => ({
    code: 'LOG_CORRUPT',
    // What StreamJob has a way to do.
    detail: { where: `log ${log}`, todo: expect.stringMatching(/point-in-time recovery; .* construct with another id.*docs\/operations\.md/) },
  })

  it('is named when it is the record of deployments, with what there is to do', async () => {
    const log = new MemoryCommitLog({ now: () => 0 })
    await log.putControl(deploymentLogName('count'), { serial: 1, payload: DAMAGED })
    await expect(readDeployment(log, 'count', 0)).rejects.toMatchObject(advice('count/#deployment'))
  })

  it("is named when it is a revision's plan", async () => {
    const log = new MemoryCommitLog({ now: () => 0 })
    await log.append(planLogName('count', 'aaaa'), { version: 1, payload: DAMAGED })
    await expect(readPlan({ log }, 'count', 'aaaa')).rejects.toMatchObject(advice('count/#plans/aaaa'))
  })
})
