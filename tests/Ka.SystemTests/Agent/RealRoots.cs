using Ka.Agent.Machine;
using Ka.Agent.Orders;
using Ka.Agent.Verification;
using Ka.Server.Environments;
using Ka.SystemTests.Deployments;

namespace Ka.SystemTests.Agent;

/// <summary>
/// Ten root file systems of real Debian packages, packed in the ways that people pack: each is accepted, and what GNU tar by itself and
/// what a node make of it is what the manifest says. The packages are fetched once and kept.
/// </summary>
public sealed class RealRoots : IDisposable
{
    readonly string _root = Directory.CreateTempSubdirectory("ka-roots").FullName;

    public RealRoots() => Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root");

    public void Dispose() => Directory.Delete(_root, recursive: true);

    public static TheoryData<string, string, ImageCompression> Roots => new()
    {
        { "base-files base-passwd libc6 busybox debianutils", "--format=gnu", ImageCompression.None },
        { "base-files coreutils bash sed grep findutils", "--format=posix", ImageCompression.Gzip },
        { "base-files util-linux mount passwd login sudo", "--format=posix --sparse", ImageCompression.Zstd },
        { "base-files python3-minimal python3.11-minimal libpython3.11-minimal", "--format=gnu", ImageCompression.Xz },
        { "base-files perl-base libperl5.36", "--format=posix --sort=name", ImageCompression.Zstd },
        { "base-files tzdata ncurses-base ncurses-term", "--format=gnu --sort=inode", ImageCompression.Lz4 },
        { "base-files openssh-server openssh-client iputils-ping", "--format=posix --numeric-owner", ImageCompression.Gzip },
        { "base-files systemd systemd-sysv udev dbus", "--format=posix --sparse --sparse-version=1.0", ImageCompression.Zstd },
        { "base-files git vim-tiny vim-common less", "--format=posix --sparse --sparse-version=0.1", ImageCompression.Bzip2 },
        { "base-files iproute2 kmod procps e2fsprogs", "--format=ustar", ImageCompression.Zstd },
    };

    [Theory]
    [MemberData(nameof(Roots))]
    public async Task A_real_root_is_accepted_and_becomes_what_its_manifest_says(string packages, string manner, ImageCompression compression)
    {
        var tree = Directory.CreateDirectory(Path.Combine(_root, "tree")).FullName;
        foreach (var package in Fetch(packages.Split(' ')))
            Program.Run("dpkg-deb", "-x", package, tree);
        Embellish(tree, withAttributes: !manner.Contains("ustar") && !manner.Contains("gnu"));
        var image = Pack(tree, manner.Split(' '), compression);
        var reading = Registration.ReadArchive(image, compression, CancellationToken.None);
        Assert.True(reading.Fault is null, $"{reading.Fault} {reading.Fault?.Evidence}");
        Assert.True(reading.Tree.Count > 50);
        var manifest = reading.Tree.ToManifest(new string('0', 64));

        var byTar = Directory.CreateDirectory(Path.Combine(_root, "tar")).FullName;
        string[] unpack = compression == ImageCompression.None ? [] : ["-I", compression.ToString().ToLowerInvariant()];
        Program.Run("tar", ["-x", "-p", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls", .. unpack, "-C", byTar, "-f", image]);
        Same(byTar);

        var paths = new AgentPaths(Run: _root + "/run", Target: _root + "/node");
        Directory.CreateDirectory(paths.Target);
        using (var unpacking = Unpacking.Start(compression, paths, paths.Target))
        {
            await using (var file = File.OpenRead(image))
                await file.CopyToAsync(unpacking.Input);
            var fault = await unpacking.Finish(complete: true, CancellationToken.None);
            Assert.True(fault is null, $"{fault} {fault?.Evidence}");
        }
        Same(paths.Target);
        Same(tree);

        void Same(string root)
        {
            var (report, fault) = TreeCheck.Run(root, manifest, new MountPlaces([], root), new CheckOptions(VerifyMode.Full, 1, Deployed: false, []), _ => { }, CancellationToken.None);
            Assert.Null(fault);
            Assert.True(report!.Same, $"{root}: {report.Differing}\n{string.Join('\n', report.Differences.Take(20))}");
        }
    }

    /// <summary>What installation scripts and life add to packages.</summary>
    static void Embellish(string tree, bool withAttributes)
    {
        Directory.CreateDirectory(tree + "/dev");
        Directory.CreateDirectory(tree + "/var/log/private");
        Program.Run("mknod", tree + "/dev/console", "c", "5", "1");
        Program.Run("mkfifo", "-m", "600", tree + "/dev/initctl");
        Program.Run("truncate", "-s", "3M", tree + "/var/log/lastlog");
        File.AppendAllText(tree + "/var/log/lastlog", "end");
        Program.Run("chown", "4242:65534", tree + "/var/log/private");
        Program.Run("chmod", "3770", tree + "/var/log/private");
        Program.Run("ln", tree + "/var/log/lastlog", tree + "/var/log/private/lastlog");
        File.CreateSymbolicLink(tree + "/var/log/" + new string('l', 200), "/nowhere/" + new string('t', 90));
        if (!withAttributes)
            return;
        Program.Run("cp", "/bin/true", tree + "/usr/bin/capable");
        Program.Run("setcap", "cap_net_raw+ep", tree + "/usr/bin/capable");
        Program.Run("setfacl", "-m", "u:4321:rwx,d:g:77:rx", tree + "/var/log/private");
    }

    string Pack(string tree, string[] manner, ImageCompression compression)
    {
        var tar = Path.Combine(_root, "image.tar");
        // ustar has no room for the long link of Embellish.
        if (manner.Contains("--format=ustar"))
            File.Delete(tree + "/var/log/" + new string('l', 200));
        string[] attributes = manner.Contains("--format=posix") ? ["--xattrs", "--xattrs-include=*", "--acls"] : [];
        Program.Run("tar", ["-c", .. manner, .. attributes, "-C", tree, "-f", tar, "."]);
        if (compression == ImageCompression.None)
            return tar;
        var program = compression.ToString().ToLowerInvariant();
        Program.Run(program, compression == ImageCompression.Lz4 ? ["-q", "-1", tar, tar + ".lz4"] : ["-q", "-1", "-k", tar]);
        return Directory.EnumerateFiles(_root).Single(f => f.StartsWith(tar + ".", StringComparison.Ordinal));
    }

    /// <summary>The packages' files; what is kept already is not fetched again.</summary>
    static IEnumerable<string> Fetch(string[] packages)
    {
        var cache = Directory.CreateDirectory(Path.Combine(RealLab.Work, "packages")).FullName;
        foreach (var package in packages)
        {
            if (!Directory.EnumerateFiles(cache, package + "_*.deb").Any())
            {
                var (status, _, errors) = Program.Try("env", "-C", cache, "apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package);
                Assert.True(status == 0, $"apt-get download {package}: {errors}");
            }
            yield return Directory.EnumerateFiles(cache, package + "_*.deb").First();
        }
    }
}
