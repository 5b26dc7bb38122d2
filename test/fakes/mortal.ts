/** A driver whose caller dies before, or right after, one of its calls. */

export interface Mortal<T extends object> {
  driver: T;
  /**
   * @param calls the caller dies at this one of the calls that change something, counted from 1
   * @param when before the call has its effect, or after it and before its answer
   * @returns whether it died before `act` had ended: from then on no call returns, as for a dead process
   */
  live(calls: number, when: 'before' | 'after', act: () => Promise<unknown>): Promise<boolean>;
}

const unanswered = () => new Promise<never>(() => undefined);

/** @param changes names of the calls that change something */
export function mortal<T extends object>(real: T, changes: readonly (keyof T)[]): Mortal<T> {
  let left = Number.POSITIVE_INFINITY;
  let dies: 'before' | 'after' = 'before';
  let died: () => void = () => undefined;
  /** Changes with each life: the calls of a dead one are never answered. */
  let life = 0;
  const die = () => {
    life++;
    left = Number.POSITIVE_INFINITY;
    died();
  };
  const driver = new Proxy(real, {
    get(target, name) {
      const act = Reflect.get(target, name) as unknown;
      if (typeof act !== 'function') return act;
      return async (...args: unknown[]) => {
        const born = life;
        const isTheOne = changes.includes(name as keyof T) && --left === 0;
        if (isTheOne && dies === 'before') die();
        if (born !== life) return unanswered();
        const answer: unknown = await Reflect.apply(act, target, args);
        if (isTheOne && dies === 'after' && born === life) die();
        return born === life ? answer : unanswered();
      };
    },
  });
  return {
    driver,
    async live(calls, when, act) {
      left = calls;
      dies = when;
      const death = new Promise<true>((resolve) => {
        died = () => resolve(true);
      });
      const dead = await Promise.race([act().then(() => false), death]);
      left = Number.POSITIVE_INFINITY;
      return dead;
    },
  };
}
