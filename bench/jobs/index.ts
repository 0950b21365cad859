export const JOB_NAMES = ['ipcount', 'wordcount', 'q0', 'q1', 'q2', 'q3', 'q4', 'q5', 'q7', 'q8', 'q11'] as const

export type JobName = (typeof JOB_NAMES)[number]

export function isJobName(name: string): name is JobName {
  return (JOB_NAMES as readonly string[]).includes(name)
}

/** The jobs' modules, imported when wanted. */
export const JOB_MODULES = {
  ipcount: () => import('./ipcount.js'),
  wordcount: () => import('./wordcount.js'),
  q0: () => import('./q0.js'),
  q1: () => import('./q1.js'),
  q2: () => import('./q2.js'),
  q3: () => import('./q3.js'),
  q4: () => import('./q4.js'),
  q5: () => import('./q5.js'),
  q7: () => import('./q7.js'),
  q8: () => import('./q8.js'),
  q11: () => import('./q11.js'),
} satisfies Record<JobName, () => Promise<unknown>>

/** Where the module of a job lies, beside this one; worker threads import it again. */
export function jobModuleUrl(job: JobName | 'latency'): URL {
  return new URL(`./${job}.js`, import.meta.url)
}
