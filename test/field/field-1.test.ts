/** The first, fourth, seventh … case of real life. */
import { playShare } from './play.ts';

playShare(1);
