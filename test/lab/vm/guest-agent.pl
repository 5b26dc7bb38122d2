#!/usr/bin/perl
# Runs in the virtual machine as root and carries out commands that arrive over TCP, one connection each (shell.ts is the other
# side). Perl is in every Debian, and a fork costs milliseconds where an ssh session costs a second without hardware help.
#
# Request: frame of NUL-separated fields: token, directory or '', number of NAME=VALUE, these, the arguments. Then frames of
# standard input, an empty one at its end. Answer: a letter and a frame each: o output, e errors, x exit code (the last one).
# A frame is its length in 4 bytes, big endian, and so many bytes. A closed connection ends the command and its children.
use strict;
use warnings;
use IO::Socket::INET;
use IO::Select;
use POSIX qw(:sys_wait_h setsid);
use Fcntl;

my $QUIET_S = 0.3;    # Something that the command left running holds its output open: nothing more is read after this.
open(my $file, '<', '/etc/lab-token') or die "token: $!";
chomp(my $token = <$file>);
my $server = IO::Socket::INET->new(LocalPort => 1022, Listen => 128, ReuseAddr => 1) or die "listen: $@";
$SIG{CHLD} = 'IGNORE';
$SIG{PIPE} = 'IGNORE';
while (1) {
    my $client = $server->accept or next;
    my $pid = fork // next;
    if ($pid == 0) { close $server; serve($client); POSIX::_exit(0); }
    close $client;
}

sub take {
    my ($client, $length) = @_;
    my $got = '';
    while (length $got < $length) { sysread($client, $got, $length - length $got, length $got) or POSIX::_exit(0); }
    return $got;
}

sub put {
    my ($client, $letter, $data) = @_;
    my $rest = $letter . pack('N', length $data) . $data;
    while (length $rest) { my $n = syswrite($client, $rest) // POSIX::_exit(0); substr($rest, 0, $n) = ''; }
}

sub serve {
    my ($client) = @_;
    $SIG{CHLD} = sub { };    # Interrupts select.
    my ($said, $dir, $count, @rest) = split /\0/, take($client, unpack 'N', take($client, 4)), -1;
    POSIX::_exit(0) if $said ne $token;
    my @env = splice @rest, 0, $count;
    pipe(my $in_r, my $in_w); pipe(my $out_r, my $out_w); pipe(my $err_r, my $err_w);
    my $pid = fork // POSIX::_exit(0);
    if ($pid == 0) {
        setsid;
        POSIX::dup2(fileno $in_r, 0); POSIX::dup2(fileno $out_w, 1); POSIX::dup2(fileno $err_w, 2);
        $^F = 2; $SIG{PIPE} = 'DEFAULT';
        POSIX::close($_) for 3 .. 20;
        %ENV = (PATH => '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME => '/root');
        for (@env) { my ($name, $value) = split /=/, $_, 2; $ENV{$name} = $value; }
        if ($dir ne '' && !chdir $dir) { print STDERR "$dir: $!\n"; POSIX::_exit(126); }
        { no warnings; exec { $rest[0] } @rest; }
        print STDERR "$rest[0]: $!\n"; POSIX::_exit(127);
    }
    close $_ for $in_r, $out_w, $err_w;
    fcntl($in_w, F_SETFL, O_NONBLOCK);
    my %letter = (fileno($out_r) => 'o', fileno($err_r) => 'e');
    my ($reads, $writes) = (IO::Select->new($client, $out_r, $err_r), IO::Select->new);
    my ($input, $pending, $ends, $code) = ('', '', 0, undef);
    while (!defined $code || %letter) {
        my ($r, $w) = IO::Select->select($reads, $writes, undef, defined $code ? $QUIET_S : 0.02 + (%letter ? 1 : 0));
        last if defined $code && !@{ $r // [] };
        for my $from (@{ $r // [] }) {
            my $n = sysread($from, my $data, 65536);
            if ($from == $client) {
                if (!$n) { kill 'KILL', -$pid; POSIX::_exit(0); }
                $input .= $data;
            } elsif ($n) {
                put($client, $letter{ fileno $from }, $data);
            } else {
                $reads->remove($from); delete $letter{ fileno $from }; close $from;
            }
        }
        while (length $input >= 4 && length $input >= 4 + unpack 'N', $input) {
            my $n = unpack 'N', $input;
            $ends = 1 if $n == 0;
            $pending .= substr $input, 4, $n;
            substr($input, 0, 4 + $n) = '';
        }
        if (defined $in_w && length $pending) {
            my $n = syswrite $in_w, $pending;
            if (defined $n) { substr($pending, 0, $n) = ''; }
            elsif (!$!{EAGAIN}) { close $in_w; $in_w = undef; $writes = IO::Select->new; $pending = ''; }
        }
        if (defined $in_w) {
            $writes = length $pending ? IO::Select->new($in_w) : IO::Select->new;
            if ($ends && !length $pending) { close $in_w; $in_w = undef; }
        }
        if (!defined $code && waitpid($pid, WNOHANG) == $pid) { $code = WIFSIGNALED($?) ? 128 + WTERMSIG($?) : WEXITSTATUS($?); }
    }
    put($client, 'x', $code);
    close $client;
}
