/** The second, fifth, eighth … case of real life. */
import { playShare } from './play.ts';

playShare(2);
