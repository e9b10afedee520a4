/**
 * Script that enters a sandbox and then executes a program. It is written in Perl, the one interpreter on every Debian
 * system (`perl-base` is essential) that can make the required system calls, which no command of Debian 12 makes: Landlock
 * and seccomp need no privilege, so they also work in containers without capabilities.
 *
 * Arguments: `name=value` (repeatable), `--`, the program and its arguments. It exits with 125 if a requested layer cannot
 * be applied, and with 127 if the program does not exist.
 *
 * - `limit=RESOURCE:VALUE` setrlimit(2), by number;
 * - `user=ID` switches to that user and group, without supplementary groups, unless an input is not world-readable;
 * - `files=1` Landlock: only the system's programs and libraries, `read=PATH` and `inputs=COUNT` descriptors from 3 on
 *   can be opened, nothing can be created or changed, no TCP, no signals to others;
 * - `calls=1` seccomp: no sockets, no processes (threads are allowed), no signals to others, no tracing, mounts, namespaces,
 *   keys, BPF or io_uring.
 */
export const SANDBOX_SCRIPT = String.raw`
use strict; use warnings;
my %one; my %many = (limit => [], read => []);
while (@ARGV) {
  my $arg = shift @ARGV; last if $arg eq '--';
  my ($name, $value) = split /=/, $arg, 2;
  if ($many{$name}) { push @{$many{$name}}, $value } else { $one{$name} = $value }
}
sub reject { print STDERR "sandbox: $_[0]: $!\n"; exit 125 }
my ($machine) = (uname() =~ /^(x86_64|aarch64)$/) or reject('unknown machine');
sub uname { open(my $f, '<', '/proc/sys/kernel/arch') or return fallback(); my $m = <$f>; chomp $m; $m }
sub fallback { my $m = qx{uname -m}; chomp $m; $m }
my $arm = $machine eq 'aarch64';
sub nr { $arm ? $_[1] : $_[0] }
my ($PRCTL, $PRLIMIT, $SECCOMP) = (nr(157, 167), nr(302, 261), nr(317, 277));
my $inputs = $one{inputs} || 0;

for (@{$many{limit}}) {
  my ($resource, $value) = split /:/;
  my $pair = pack('QQ', $value, $value);
  syscall($PRLIMIT, 0, $resource + 0, $pair, 0) == 0 or reject("limit $resource");
}
setpriority(0, 0, $one{nice}) if $one{nice};

# O_PATH | O_CLOEXEC, and the ruleset's descriptor is closed by exec, too.
my $ruleset = -1;
if ($one{files}) {
  my $abi = syscall(444, 0, 0, 1);
  $abi > 0 or reject('Landlock is not available');
  my $fs = 0x1fff | ($abi >= 2 ? 1 << 13 : 0) | ($abi >= 3 ? 1 << 14 : 0) | ($abi >= 5 ? 1 << 15 : 0);
  my $attr = pack('QQQ', $fs, $abi >= 4 ? 3 : 0, $abi >= 6 ? 3 : 0);
  my $size = $abi >= 6 ? 24 : $abi >= 4 ? 16 : 8;
  $ruleset = syscall(444, $attr, $size, 0);
  $ruleset >= 0 or reject('landlock_create_ruleset');
  my ($EXEC, $WRITE, $READ, $LIST) = (1, 2, 4, 8);
  my $allow = sub {
    my ($fd, $access) = @_;
    my $rule = pack('Ql', $access, $fd);
    syscall(445, $ruleset, 1, $rule, 0) == 0 or reject('landlock_add_rule');
  };
  my $path = sub {
    my ($name, $access) = @_;
    my $text = "$name\0";
    my $fd = syscall(nr(257, 56), -100, $text, 0x280000, 0);
    return if $fd < 0;
    $access &= ~$LIST unless -d $name;
    $allow->($fd, $access);
    syscall(nr(3, 57), $fd);
  };
  $path->($_, $EXEC | $READ | $LIST) for qw(/usr /bin /lib /lib64 /sbin), @{$many{read}};
  $path->($_, $READ | $LIST) for qw(/etc/ld.so.cache /dev/urandom /dev/random /sys/devices/system/cpu);
  $path->('/dev/null', $READ | $WRITE);
  for my $folder (split /:/, $ENV{PATH}) { $path->("$folder/$ARGV[0]", $EXEC | $READ) if $ARGV[0] !~ m{/} && -x "$folder/$ARGV[0]" }
  $allow->(3 + $_, $READ) for 0 .. $inputs - 1;
}

if ($one{user}) {
  my $open = 1;
  for (0 .. $inputs - 1) { my @info = stat('/proc/self/fd/' . (3 + $_)); $open &&= @info && $info[2] & 4 }
  if ($open) {
    my $id = $one{user} + 0;
    $! = 0; $) = "$id $id"; $( = $id; ($<, $>) = ($id, $id);
    ($< == $id && $> == $id && $( == $id) or reject('another user');
  }
}
syscall($PRCTL, 1, 9, 0, 0, 0); # PR_SET_PDEATHSIG: it does not outlive the service
syscall($PRCTL, 38, 1, 0, 0, 0) == 0 or reject('no new privileges');
if ($one{files}) { syscall(446, $ruleset, 0) == 0 or reject('landlock_restrict_self') }

if ($one{calls}) {
  my ($ALLOW, $EPERM, $ENOSYS, $KILL) = (0x7fff0000, 0x50001, 0x50026, 0x80000000);
  my $ins = sub { pack('SCCL', @_) };
  my $is = sub { my ($number, @then) = @_; $ins->(0x15, 0, scalar(@then), $number) . join('', @then) };
  my $do = sub { $ins->(0x06, 0, 0, $_[0]) };
  my $load = sub { $ins->(0x20, 0, 0, $_[0]) };
  my @filter = ($load->(4), $ins->(0x15, 1, 0, $arm ? 0xc00000b7 : 0xc000003e), $do->($KILL), $load->(0));
  push @filter, $ins->(0x35, 0, 1, 0x40000000), $do->($EPERM) unless $arm; # the x32 numbers
  my @denied = map { nr(@$_) } (
    [41, 198], [53, 199], [42, 203], [49, 200], [50, 201], [43, 202], [288, 242],
    [101, 117], [310, 270], [311, 271], [312, 272], [200, 130], [129, 138], [297, 240],
    [165, 40], [166, 39], [272, 97], [308, 268], [155, 41], [161, 51], [321, 280], [298, 241], [323, 282],
    [250, 219], [248, 217], [249, 218], [175, 105], [313, 273], [246, 104],
  );
  push @denied, 57, 58 unless $arm; # fork, vfork
  push @denied, 424 .. 434, 438, 442; # pidfds, io_uring, the mount calls of 5.2
  push @filter, $is->($_, $do->($EPERM)) for @denied;
  push @filter, $is->(435, $do->($ENOSYS)); # clone3: the C library goes on with clone
  # clone: threads only. kill, tgkill: itself only.
  push @filter, $is->(nr(56, 220), $load->(16), $ins->(0x45, 0, 1, 0x10000), $do->($ALLOW), $do->($EPERM));
  push @filter, $is->($_, $load->(16), $ins->(0x15, 0, 1, $$), $do->($ALLOW), $do->($EPERM)) for nr(62, 129), nr(234, 131);
  my $code = join('', @filter, $do->($ALLOW));
  my $program = pack('Sx6P', length($code) / 8, $code);
  syscall($SECCOMP, 1, 0, $program) == 0 or reject('seccomp');
}
{ no warnings; exec { $ARGV[0] } @ARGV }
exit 127;
`;
