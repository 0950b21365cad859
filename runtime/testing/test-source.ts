import type { Source } from '../core/index.js'

/**
 * Stands for a source in a job that only tests run: {@link JobDriver} puts a scripted input in its place, as it does for any other source.
 * In a real run it ends at once.
 *
 * @example
 * env.fromSource(testSource<Click>(), WatermarkStrategy.noWatermarks(), 'clicks').uid('clicks')
 */
export function testSource<T>(): Source<T, { readonly splitId: string }, null> {
  return {
    name: 'test-source',
    boundedness: 'bounded',
    createEnumerator: (context) => ({
      start: () => {
        for (let subtask = 0; subtask < context.parallelism; subtask++) context.signalNoMoreSplits(subtask)
      },
      handleSplitRequest: () => {},
      addSplitsBack: () => {},
      snapshotState: () => null,
      close: () => {},
    }),
    createReader: () => ({
      start: () => {},
      pollNext: () => 'end',
      available: () => Promise.resolve(),
      addSplits: () => {},
      notifyNoMoreSplits: () => {},
      snapshotState: () => [],
      close: () => {},
    }),
  }
}
