using Ka.Cli.Commands;

namespace Ka.Tests.Broadcast;

public sealed class SinkTests : IDisposable
{
    readonly string _first = Path.GetTempFileName();
    readonly string _second = Path.GetTempFileName();

    public void Dispose()
    {
        File.Delete(_first);
        File.Delete(_second);
    }

    [Theory]
    [InlineData(0, 1000)]
    [InlineData(1, 1000)]
    [InlineData(64 * 1024, 64 * 1024)]
    [InlineData(300_001, 4096)]
    public async Task Files_get_every_byte_also_where_it_begins_and_ends_with_zeros(int length, int piece)
    {
        var image = new byte[length];
        for (var i = length / 3; i < length / 2; i++)
        {
            image[i] = (byte)i;
        }
        await File.WriteAllTextAsync(_first, "what was there before");
        using var sink = new ReceivingSink([_first, "null", _second], []);
        for (var at = 0; at < length; at += piece)
        {
            sink.Stream.Write(image.AsSpan(at, Math.Min(piece, length - at)));
        }
        Assert.Null(await sink.Finish(TestContext.Current.CancellationToken));
        Assert.Equal(image, await File.ReadAllBytesAsync(_first));
        Assert.Equal(image, await File.ReadAllBytesAsync(_second));
    }

    [Fact]
    public void What_cannot_be_opened_is_said_before_anything_comes() =>
        Assert.Contains("/nowhere/at/all", Assert.Throws<IOException>(() => new ReceivingSink([_first, "/nowhere/at/all/file"], [])).Message);

    [Fact]
    public void Into_nowhere_nothing_is_even_looked_at() => Assert.Same(Stream.Null, new ReceivingSink(["null"], []).Stream);
}
