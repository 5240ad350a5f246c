using Ka.Agent.Machine;
using Ka.Agent.Orders;
using Ka.Tests.Server;

namespace Ka.SystemTests.Agent;

/// <summary>
/// Archives that the server would refuse, given to the node's own unpacking all the same: nothing outside the root, whatever tar does with
/// them. With tar told to trust names the enclosure alone holds them. Needs root for its namespaces.
/// </summary>
public sealed class Escaping : IDisposable
{
    readonly string _root = Directory.CreateTempSubdirectory("ka-escape").FullName;
    readonly AgentPaths _paths;

    public Escaping()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root");
        _paths = new AgentPaths(Run: _root + "/run", Target: _root + "/target");
        Directory.CreateDirectory(_paths.Run);
        Directory.CreateDirectory(Outside);
        File.WriteAllText(Outside + "/kept", "kept");
    }

    string Outside => _root + "/outside";

    public void Dispose() => Program.Run("rm", "-rf", _root);

    /// <summary>Everything in the test's directory but what lies in the target: names, kinds, modes, owners, and what the file holds.</summary>
    string Picture() =>
        Program.Run("find", _root, "-mindepth", "1", "-path", _paths.Target, "-prune", "-o", "-path", _paths.Run, "-prune", "-o", "-path", _root + "/archive", "-prune", "-o",
            "-printf", "%p %y %m %U:%G %n %s\n") + File.ReadAllText(Outside + "/kept");

    void Fresh()
    {
        Program.Run("rm", "-rf", _paths.Target); // .NET cannot remove names that are no UTF-8
        Directory.CreateDirectory(_paths.Target);
    }

    [Fact]
    public async Task No_archive_writes_outside_the_root_of_a_node()
    {
        var before = Picture();
        var all = EscapeArchives.All(Outside).ToArray();
        Assert.True(all.Length >= 60);
        var unpacked = 0;
        foreach (var (name, archive) in all)
        {
            Fresh();
            using var unpacking = Unpacking.Start(ImageCompression.None, _paths, _paths.Target);
            try
            {
                unpacking.Input.Write(archive);
            }
            catch (IOException)
            {
                // tar refused it before its end
            }
            var fault = await unpacking.Finish(complete: true, CancellationToken.None);
            unpacked += fault is null || Directory.EnumerateFileSystemEntries(_paths.Target).Any() ? 1 : 0;
            Assert.True(before == Picture(), $"{name}: {Picture()}");
        }
        Assert.True(unpacked > 20, $"only {unpacked} were unpacked at all"); // else tar did not run
    }

    [Fact]
    public void Tar_that_trusts_every_name_is_held_by_the_enclosure()
    {
        var before = Picture();
        var denied = 0;
        foreach (var (name, archive) in EscapeArchives.All(Outside))
        {
            Fresh();
            File.WriteAllBytes(_root + "/archive", archive);
            var start = Enclosure.OnlyTarget(_paths, _paths.Target, "tar", ["-x", "-P", "-p", "--xattrs", "--xattrs-include=*", "-C", Enclosure.TargetInside, "-f", "-"]);
            var ended = RunFed(start, archive);
            denied += ended.Contains("Read-only file system", StringComparison.Ordinal) || ended.Contains("No such file", StringComparison.Ordinal) ? 1 : 0;
            Assert.True(before == Picture(), $"{name}: {ended} {Picture()}");
        }
        Assert.True(denied > 10, $"the enclosure was tried {denied} times only");
        // And without the enclosure the same call does harm: this test can fail.
        Fresh();
        File.WriteAllBytes(_root + "/archive", EscapeArchives.All(Outside).First(a => a.Name == "absolute file").Archive);
        Program.Try("tar", "-x", "-P", "-C", _paths.Target, "-f", _root + "/archive");
        Assert.NotEqual(before, Picture());
    }

    [Fact]
    public void What_runs_in_the_enclosure_sees_and_writes_its_target_only()
    {
        Fresh();
        const string Hostile = """
            echo inside >/target/inside
            for place in "$1/got" /got /usr/got /etc/got /tmp/got /proc/1/root/got /proc/self/root/got; do echo x >"$place" && echo "WROTE $place"; done
            echo x >/proc/sys/kernel/panic && echo "WROTE panic"
            cat "$1/kept" && echo "READ kept"
            mknod /target/disk b 7 0
            echo "processes" /proc/[0-9]*
            echo "root" /*
            """;
        var said = RunFed(Enclosure.OnlyTarget(_paths, _paths.Target, "sh", ["-c", Hostile, "sh", Outside]), []);
        Assert.Equal("inside\n", File.ReadAllText(_paths.Target + "/inside"));
        Assert.DoesNotContain("WROTE", said);
        Assert.DoesNotContain("READ", said);
        Assert.Contains("processes /proc/1\n", said.Replace(" /proc/2", "", StringComparison.Ordinal));
        Assert.DoesNotContain("/etc ", said);
        Assert.Equal(["kept"], Directory.EnumerateFileSystemEntries(Outside).Select(Path.GetFileName));
    }

    static string RunFed(System.Diagnostics.ProcessStartInfo start, byte[] input)
    {
        using var process = System.Diagnostics.Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = process.StandardError.ReadToEndAsync();
        try
        {
            process.StandardInput.BaseStream.Write(input);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // it did not read on
        }
        process.WaitForExit();
        return output.Result + errors.Result;
    }
}
