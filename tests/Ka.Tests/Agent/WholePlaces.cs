using Ka.Agent.Machine;
using Ka.Agent.Orders;
using Ka.Broadcast;

namespace Ka.Tests.Agent;

/// <summary>Where an image lies whole, and what of it is handed on.</summary>
public sealed class WholePlaces : IDisposable
{
    readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    AgentPaths Paths(long availableKibibytes, bool mounted)
    {
        Directory.CreateDirectory(_directory["dest"]);
        _directory.Write("proc/meminfo", $"MemTotal:  {availableKibibytes * 4} kB\nMemAvailable:  {availableKibibytes} kB\n");
        _directory.Write("proc/self/mountinfo", mounted ? $"36 35 8:3 / {_directory["dest"]} rw,relatime - ext4 /dev/vda3 rw\n" : "");
        return new AgentPaths(Proc: _directory["proc"], Run: _directory["run"], Target: _directory["dest"]);
    }

    [Fact]
    public void It_lies_in_memory_where_half_of_it_suffices_and_is_gone_afterwards()
    {
        var paths = Paths(2048, mounted: true);
        var (place, _) = WholePlace.Make(1 << 20, 1, paths);
        File.WriteAllText(place!.File, "image");
        Assert.Equal(_directory["run/whole/image"], place.File);
        Assert.False(Directory.Exists(_directory["dest/.ka-image"]));
        Assert.Equal(place.File, WholePlace.Find(paths)!.File);
        place.Dispose();
        Assert.False(Directory.Exists(_directory["run/whole"]));
    }

    [Fact]
    public void It_lies_on_the_target_where_the_memory_is_too_small_and_is_found_at_the_same_path()
    {
        var paths = Paths(2047, mounted: true);
        var (place, _) = WholePlace.Make(1 << 20, 4096, paths);
        File.WriteAllText(place!.File, "image");
        Assert.Equal(_directory["run/whole/image"], place.File);
        Assert.Equal("image", File.ReadAllText(_directory["dest/.ka-image/image"]));
        WholePlace.Find(paths)!.Dispose();
        Assert.Empty(Directory.EnumerateFileSystemEntries(_directory["dest"]));
        Assert.Empty(Directory.EnumerateFileSystemEntries(_directory["run"]));
    }

    [Theory]
    [InlineData(false, 4096)]
    [InlineData(true, 0)]
    [InlineData(true, long.MaxValue)]
    public void Without_room_it_is_refused_with_the_figures(bool mounted, long roomOnTarget)
    {
        var (place, fault) = WholePlace.Make(1 << 20, roomOnTarget, Paths(2047, mounted));
        Assert.Null(place);
        Assert.Equal("broadcast.no_room", fault!.Code.Text);
        Assert.Contains("1048576 bytes; memory 1048064", fault.Evidence, StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_former_try_left_is_removed_even_when_its_partition_is_gone()
    {
        var paths = Paths(2047, mounted: true);
        WholePlace.Make(1 << 20, 4096, paths);
        Directory.Delete(_directory["dest/.ka-image"], recursive: true);
        var (place, _) = WholePlace.Make(1 << 20, 4096, paths);
        Assert.NotNull(place);
        place.Dispose();
    }

    [Theory]
    [InlineData(-1, null)]
    [InlineData(0, "chunk 0 at offset 0")]
    [InlineData(2_500_000, "chunk 2 at offset 2097152")]
    public async Task Only_bytes_with_the_right_hash_are_handed_on(int wrong, string? evidence)
    {
        var bytes = new byte[3_000_000];
        new Random(4).NextBytes(bytes);
        var manifest = ImageManifest.Of(new MemoryStream(bytes), ImageManifest.DefaultChunkBytes, TestContext.Current.CancellationToken);
        var right = bytes.ToArray();
        if (wrong >= 0)
            bytes[wrong] ^= 1;
        File.WriteAllBytes(_directory["image"], bytes);
        using var sink = new MemoryStream();
        var outcome = await new WholeFile(_directory["image"], manifest, sink).Give(TestContext.Current.CancellationToken);
        Assert.Equal(evidence, outcome.Fault?.Evidence);
        Assert.Equal(evidence is null ? null : "image.corrupt", outcome.Fault?.Code.Text);
        Assert.Equal(right[..(int)sink.Length], sink.ToArray());
        Assert.Equal(wrong < 0 ? bytes.Length : wrong / (1 << 20) * (1 << 20), sink.Length);
    }

    [Fact]
    public async Task A_file_of_another_length_is_not_the_image()
    {
        File.WriteAllBytes(_directory["image"], new byte[5]);
        var manifest = ImageManifest.Of(new MemoryStream(new byte[6]), ImageManifest.DefaultChunkBytes, TestContext.Current.CancellationToken);
        Assert.Equal("5 of 6 bytes", (await new WholeFile(_directory["image"], manifest, Stream.Null).Give(TestContext.Current.CancellationToken)).Fault!.Evidence);
    }

    [Fact]
    public void What_aria2_says_of_itself_is_read()
    {
        static Aria2Seen? Read(string json) => Aria2Status.Read(System.Text.Encoding.UTF8.GetBytes(json));
        Assert.Equal(new Aria2Seen(true, 7, 3), Read("""{"result":{"totalLength":"7","completedLength":"7","uploadLength":"3","seeder":"true"}}"""));
        Assert.Equal(new Aria2Seen(false, 7, 0), Read("""{"result":{"totalLength":"7","completedLength":"7"}}"""));
        Assert.Null(Read("""{"error":{"code":1,"message":"GID is not found"}}"""));
    }
}
