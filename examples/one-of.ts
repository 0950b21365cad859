import { MillraceError, type StreamExecutionEnvironment } from 'millrace'

/** A parameter that has one of a few values; the first is the default. Throws OPTION_INVALID for another. */
export function oneOf<const V extends string>(env: StreamExecutionEnvironment, name: string, values: readonly [V, ...V[]]): V {
  const value = env.parameters.get(name, values[0])
  const known = values.find((v) => v === value)
  if (known !== undefined) return known
  throw new MillraceError('OPTION_INVALID', { what: `--${name} cannot be "${value}"`, todo: `Use one of: ${values.join(', ')}.` })
}
